"""Engines that can be simulated: how long their steps take, and what they hold."""

from __future__ import annotations

from fairlead.autoscaler.simulator.engine import Model

LLAMA_8B = Model(
    "Llama 3.1 8B on one A100-80",
    step_base=16441.53e-6,
    step_prefill=47.8374e-6,
    step_decode=18.2056e-6,
    overhead_base=7739.73e-6,
    overhead_prompt=2.3089e-6,
    kv_tokens=29205 * 16,
)
PHI_4 = Model(
    "Phi-4 14B on one A100-80",
    step_base=18180.03e-6,
    step_prefill=82.4051e-6,
    step_decode=53.8045e-6,
    overhead_base=4267.30e-6,
    overhead_prompt=16.6600e-6,
    kv_tokens=14645 * 16,
)
"""Both were fitted to vLLM 0.8.4 by BLIS (inference-sim/inference-sim, defaults.yaml: meta-llama/llama-3.1-8b-instruct and
microsoft/phi-4 with GPU A100-80 and tensor_parallelism 1; beta_coeffs, the first two alpha_coeffs, and total_kv_blocks of 16
tokens)."""

MODELS = {"llama-3.1-8b-a100": LLAMA_8B, "phi-4-a100": PHI_4}
"""By the names that the command line has for them."""
