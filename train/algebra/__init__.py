"""Operations and groups as integer tables, and the shapes of tasks."""
