"""What users write: one declaration a setting, and from it the parser's messages, the schema, the reference page."""
