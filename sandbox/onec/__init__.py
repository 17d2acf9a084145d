"""A stand-in of 1C's standard OData over HTTP."""
