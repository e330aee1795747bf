"""Small tasks on which the pages make mistakes on purpose: each returns numbers for one seed.

:mod:`.pixels` predicts pixels of contact maps, :mod:`.forecasts` cells of held-out times;
:mod:`.counts` and :mod:`.maps` show what sparse data invent. What is done with the numbers stands
in :mod:`scstlib.audit.experiments`.
"""
