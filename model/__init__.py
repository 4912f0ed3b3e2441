"""Pure statistics: tables and arrays in, values out, explicit seeds. No input, output or orchestration."""
