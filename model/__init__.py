"""Pure statistics: tables and arrays in, values out, explicit seeds. No input or output."""
