"""The schema of the warehouse, one numbered step after another.

`versions/0002_what.py` holds revision `0002`; its SQL stands beside it in `0002_*.sql`. A step is never
edited once it has been released: the next one changes what it made. `Warehouse.migrate` applies them.
"""
