"""What accountants print, sign and send: acts of reconciliation and workbooks."""
