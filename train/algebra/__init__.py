"""Operations, groups and shapes of tasks: what is learnt, as tables of whole numbers."""
