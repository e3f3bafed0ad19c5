"""Losses and gradients with and without --compile: python compiled.py FILE. No code is generated, which takes
minutes on a CPU, but what breaks the graph fails; without the tests' checks of shapes, which no compiler
follows.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1]))
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.geometry.align import refine_motion
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.train import steps
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from small_models import LIGHT, MANY, STREET, lively


def taken(step: Callable[..., Any], model: nn.Module, batch: Any, plan: Any) -> tuple[float, Tensor]:
    model.zero_grad()
    loss, _ = step(model, batch, plan)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main(file: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    steps.compiled = partial(torch.compile, fullgraph=True, backend="aot_eager")
    batch = to_batch(ClipDataset(STREET, (-1, 1)).batch([1, 2]), (-1, 1), "cpu")
    kinds = {name: (LIGHT, recipe(name)) for name in ("default", "reference", "scratch")}
    kinds |= {by: (replace(MANY, match_by=by), recipe("default")) for by in ("features", "pixels")}
    found = {}
    for name, (architecture, config) in kinds.items():
        many = name in ("features", "pixels")
        model = lively(ManyDepth(architecture) if many else MonoDepth(architecture))
        plan = plan_at(config, architecture, 0.7)
        step = steps.many_step if many else steps.mono_step
        exact, gradient = taken(step, model, batch, plan)
        ours, other = taken(step, model, batch, replace(plan, compile=True))
        found[name] = [exact, ours, float(torch.cosine_similarity(gradient, other, 0))]
    file.write_text(json.dumps({"losses": found, "refinement": refinement(batch)}))


def refinement(batch: Any) -> tuple[int, float, float]:
    """Nodes of the graph of refined poses, whose step is traced once at each stride, their greatest
    difference from those without a graph, and from the given poses."""
    sizes = []

    def backend(graph: Any, inputs: Any) -> Any:
        sizes.append(len(graph.graph.nodes))
        return graph.forward

    start = torch.eye(4).expand(2, 4, 4)
    given = start, batch.target, batch.sources[:, 0], torch.full((2, 64, 96), 8.0), batch.intrinsics
    ours = torch.compile(refine_motion, fullgraph=True, backend=backend)(*given)
    plain = refine_motion(*given)
    return sum(sizes), float((ours - plain).abs().max()), float((plain - start).abs().max())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
