"""When feature learning improves scaling laws: commands ``python -m interp.scaling NAME``, theory beside simulation.

Source: Bordelon, Atanasov, Pehlevan 2024, *How Feature Learning Can Improve Neural Scaling Laws* (2409.17858), and its
lazy predecessor (2402.01092). The theory itself is in ``interp.theory``; simulations are run by ``train.scaling``.
"""
