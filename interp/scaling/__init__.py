"""Theory of when feature learning improves scaling laws: ``python -m interp.scaling flow|exponents|report``.

Bordelon, Atanasov, Pehlevan 2024, *How Feature Learning Can Improve Neural Scaling Laws* (2409.17858), and its lazy
predecessor (2402.01092). Nothing here imports the simulator, ``train.scaling``.
"""
