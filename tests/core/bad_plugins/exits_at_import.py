"""Ends the process when it is imported."""

import sys

sys.exit("this machine will not do")
