"""A stand-in of a Bitrix24 portal over HTTP."""
