"""The plan (suite -> runs), the record of a run, the store of records, and what carries runs out."""
