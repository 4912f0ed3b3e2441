"""One list of all ways to break the contract with a spoiled table, for every test that needs one.

A new one is a line of `cells`, `files` or `joins`, or a function of `tables`.
"""

from tests.spoiled.cells import CELLS
from tests.spoiled.files import FILES
from tests.spoiled.joins import JOINS
from tests.spoiled.tables import TABLES

SPOILS = (*CELLS, *FILES, *TABLES, *JOINS)
