"""Mapping files: one YAML a connected system, a folder of them one company's set-up.

    mappings = load(Path("mappings/demo"))
    compile_read(system, read, table)   # one statement: raw records -> rows of our table
    compile_write(system, "invoice")    # one expression: our document -> the vendor's body
    write_rules(conn, mappings)         # stages, aliases, VAT, units, currencies, settings -> ops
    mapping_document(mappings, "ru")    # what accountants sign

How to write a file: docs/mappings.md.
"""

from mappings.compile_read import Cleaning, CompiledRead, compile_read
from mappings.compile_write import Lookup, compile_text, compile_write, lookups
from mappings.document import mapping_document
from mappings.folder import Mappings, Read, System, load
from mappings.reader import MappingError, Problem
from mappings.rules import write_rules

__all__ = [
    "Cleaning",
    "CompiledRead",
    "Lookup",
    "MappingError",
    "Mappings",
    "Problem",
    "Read",
    "System",
    "compile_read",
    "compile_text",
    "compile_write",
    "load",
    "lookups",
    "mapping_document",
    "write_rules",
]
