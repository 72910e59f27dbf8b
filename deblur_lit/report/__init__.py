"""Tables from run folders: `python -m deblur_lit.report table1 --data mini`."""

from deblur_lit.report.build import build_table
from deblur_lit.report.spec import TableSpec, load_spec
from deblur_lit.report.table import Table
from deblur_lit.report.write import record, write_table

__all__ = ["Table", "TableSpec", "build_table", "load_spec", "record", "write_table"]
