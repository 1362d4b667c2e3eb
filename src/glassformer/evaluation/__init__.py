"""How good the answers are, measured by the field's own libraries."""
