"""Bad input gets a clear error, and nothing is lost: each fault as it really happens, and the sync after it."""
