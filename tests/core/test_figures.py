"""Figures: one style, two files, the same bytes, and nothing of the user's touched."""

import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from widenet import figures
from widenet.errors import WnError

X = [0.5, 0.8, 0.9]
YS = [[1.0, 2.0, 3.0], [4.0], [2.0, 2.0]]


def drawn(out, name="accuracy", labels=("random", "symmetric")):
    figure, (axes,) = figures.new()
    for label in labels:
        figures.band(axes, X, YS, label)
    figures.legend(axes, "mask type")
    return figures.save(figure, SimpleNamespace(out=out), name)


def chunks(png):
    """Type and content of each chunk of a PNG, their checksums checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + content),)
        yield kind, content
        at += 12 + size


def test_a_png_and_an_svg(tmp_path):
    png, svg = drawn(tmp_path)
    assert [png.name, svg.name] == ["accuracy.png", "accuracy.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accuracy.png", "accuracy.svg"]
    kinds = [kind for kind, _ in chunks(png.read_bytes())]
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    with Image.open(png) as image:
        assert image.width == round(figures.WIDTH * figures.DPI)
        assert image.info["dpi"] == pytest.approx((figures.DPI, figures.DPI), abs=0.1)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
    root = ElementTree.parse(svg).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("width") == "244.8pt"


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    once = [path.read_bytes() for path in drawn(tmp_path / "once")]
    assert [path.read_bytes() for path in drawn(tmp_path / "again")] == once
    assert b"dc:date" not in once[1]
    assert [path.read_bytes() for path in drawn(tmp_path / "third", labels=("random", "other"))] != once


def test_a_process_of_its_own_draws_the_same_without_pyplot(tmp_path):
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace\n"
        "from widenet import figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figure, (axes,) = figures.new()\n"
        f"figures.band(axes, {X}, {YS}, 'random'); figures.band(axes, {X}, {YS}, 'symmetric')\n"
        "figures.legend(axes, 'mask type')\n"
        "figures.save(figure, SimpleNamespace(out=Path('apart')), 'accuracy')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)
    for path in drawn(tmp_path / "here"):
        assert path.read_bytes() == (tmp_path / "apart" / path.name).read_bytes()


def test_settings_of_the_user_do_not_show_and_are_left_as_they_were(tmp_path):
    plain = [path.read_bytes() for path in drawn(tmp_path / "plain")]
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        assert [path.read_bytes() for path in drawn(tmp_path / "user")] == plain
        kept = [matplotlib.rcParams[key] for key in ("font.size", "axes.facecolor", "savefig.bbox", "axes.grid")]
        assert kept == [20, "red", "tight", False]


def test_mean_and_one_standard_deviation():
    _, (axes,) = figures.new()
    line = figures.band(axes, X, YS, "random")
    assert line.get_xdata().tolist() == X
    assert line.get_ydata().tolist() == [2, 4, 2]
    (path,) = axes.collections[0].get_paths()
    heights = {x: sorted(set(path.vertices[np.isclose(path.vertices[:, 0], x), 1].round(9))) for x in X}
    assert heights == {0.5: [1, 3], 0.8: [4], 0.9: [2]}


def test_lines_differ_in_colour_and_marker_and_beyond_these_in_dashes():
    _, (axes,) = figures.new()
    lines = [figures.band(axes, X, YS, str(number)) for number in range(2 * len(figures.COLOURS))]
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines]
    assert len(set(looks)) == len(looks)
    assert len({colour for colour, _, _ in looks[:7]}) == len({marker for _, marker, _ in looks[:7]}) == 7
    assert not axes.spines["top"].get_visible()


def luminance(colour):
    """Relative luminance of a colour on a screen."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def test_every_colour_is_seen_on_white():
    assert all(1.05 / (luminance(colour) + 0.05) > 2 for colour in figures.COLOURS)


@pytest.mark.parametrize("length", [3, 30])
def test_a_legend_covers_nothing_and_lies_within_the_figure(length, tmp_path):
    figure, (axes,) = figures.new()
    height = figure.get_figheight()
    for number in range(6):
        figures.band(axes, X, YS, f"{number}" * length)
    axes.set(xlabel="sparsity", ylabel="accuracy")
    figures.legend(axes, "mask type")
    assert figure.get_figheight() > height
    figure.canvas.draw()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= axes.get_tightbbox().y0
    assert axes.get_window_extent().height > 0.6 * height * figure.dpi


def test_without_names_there_is_no_legend():
    figure, (axes,) = figures.new()
    figures.band(axes, X, YS)
    figures.legend(axes)
    assert not figure.legends
    assert figure.get_figheight() == figures.HEIGHT


def test_panels_in_reading_order():
    figure, axes = figures.new(columns=3, rows=2, height=2)
    assert tuple(figure.get_size_inches()) == pytest.approx((3 * figures.WIDTH, 4))
    places = [(axis.get_subplotspec().rowspan.start, axis.get_subplotspec().colspan.start) for axis in axes]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("name", ["a/b", "/a"])
def test_a_name_is_that_of_a_file(name, tmp_path):
    with pytest.raises(ValueError, match="name"):
        drawn(tmp_path / "out", name)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_full_disk_leaves_no_half_figure(kind, tmp_path):
    part = tmp_path / f"accuracy.{kind}.part"
    part.symlink_to("/dev/full")
    with pytest.raises(WnError, match=f"no space left to write .*accuracy.{kind}"):
        drawn(tmp_path)
    assert not part.is_symlink()
    assert not (tmp_path / f"accuracy.{kind}").exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_leaves_the_old_figure(tmp_path):
    before = {path: path.read_bytes() for path in drawn(tmp_path)}
    (tmp_path / "accuracy.png.part").symlink_to("/dev/full")
    with pytest.raises(WnError, match="no space left"):
        drawn(tmp_path, labels=("other",))
    assert {path: path.read_bytes() for path in before} == before


def test_means_in_a_band_and_a_single_one_with_an_upright():
    _, (axes,) = figures.new()
    first = figures.spread(axes, [1, 2], [3, 4], [1, None])
    assert not [lines for lines in axes.collections if lines.get_paths() and "Line" in type(lines).__name__]
    figures.spread(axes, [1], [3], [0.5])
    (upright,) = [lines for lines in axes.collections if "Line" in type(lines).__name__]
    assert upright.get_segments()[0].tolist() == [[1, 2.5], [1, 3.5]]
    assert first.get_color() == figures.COLOURS[0]
    assert axes.lines[1].get_color() == figures.COLOURS[1]


def test_places_are_named_where_there_is_room():
    figure, (few, many) = figures.new(columns=2)
    figures.named(few, ["conv1", "a.very.long.path.of.a.module"])
    figures.named(many, [f"layer.{number}" for number in range(57)])
    figure.canvas.draw()
    assert [label.get_text() for label in few.get_xticklabels()] == ["conv1", "…ng.path.of.a.module"]
    assert many.get_xlabel() == "layer (of 57, in order)"
    assert [label.get_text() for label in many.get_xticklabels()][:3] == ["1", "6", "11"]


def test_series_without_dashes_look_different():
    assert len({tuple(figures.look(number).values()) for number in range(49)}) == 49


def test_rows_pass_and_are_drawn_at_the_end(tmp_path):
    run = SimpleNamespace(out=tmp_path)
    drawings = []

    def draw(rows):
        drawings.append(list(rows))
        return figures.new()[0]

    passing = figures.beside(({"n": number} for number in range(2)), draw, run, "n")
    assert next(passing) == {"n": 0}
    assert not drawings
    assert list(passing) == [{"n": 1}]
    assert drawings == [[{"n": 0}, {"n": 1}]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.png", "n.svg"]
    assert list(figures.beside([], draw, run, "none")) == []
    assert not list(tmp_path.glob("none*"))


@pytest.mark.parametrize("kind, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_rendered_as_bytes(kind, start):
    figure, (axes,) = figures.new()
    figures.band(axes, X, YS, "random")
    assert figures.rendered(figure, kind).startswith(start)
    assert figures.rendered(figure, kind) == figures.rendered(figure, kind)


def test_no_form_that_is_unknown():
    with pytest.raises(ValueError, match="docx"):
        figures.rendered(figures.new()[0], "docx")
