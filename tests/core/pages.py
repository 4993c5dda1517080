"""Reading an HTML page: its tables, its text, and every address in it; and changing the runs that it is made of."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """What is on a page; ``tables`` by the label of their box, a list for each label, each of rows, headings first."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.images, self.ids, self.tags = {}, [], [], [], set()
        self.words, self._label, self._cell = [], "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.addresses += [found[name] for name in ("src", "href", "srcset", "action", "data", "poster") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "img":
            self.images.append(found)
        if found.get("role") == "region":
            self._label = found["aria-label"]
        if tag == "table":
            self.tables.setdefault(self._label, []).append([])
        elif tag == "tr":
            self.tables[self._label][-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[self._label][-1][-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def rows(self, label, number=0):
        """The table's rows as dicts by heading."""
        head, *rows = self.tables[label][number]
        return [dict(zip(head, row, strict=True)) for row in rows]


def edit(path, **fields):
    """Change the record in a folder."""
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, **fields}))


def analysis(path, rows, name="counted-01234567", **fields):
    """An analysis of the run, as the core keeps it."""
    out = path / "analyses" / name
    out.mkdir(parents=True)
    (out / "result.json").write_text(json.dumps(rows))
    (out / "result.csv").write_text("\n".join(",".join(map(str, row.values())) for row in rows))
    record = {"schema": 1, "component": "some/counted", "options": {"split": "test"}, "parents": [path.name], "of": {}}
    (out / "run.json").write_text(json.dumps({**record, "status": "finished", "finished": "2026-01-01T00:00:00", **fields}))
    return out
