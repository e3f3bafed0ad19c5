"""Small networks whose outputs show their inputs, and frames of a street for them."""

import torch
from torch import nn

from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")
MANY = ManyArchitecture("light", "light", pose_type="light", hypotheses=8)
STREET = SyntheticReader(StreetSettings(1, 6, 64, 96), "test")
FILM = [STREET.frame(0, i).image for i in range(6)]
K = STREET.frame(0, 0).intrinsics


def lively(model: MonoDepth | ManyDepth) -> MonoDepth | ManyDepth:
    """Weights through which input shows in the output, and a motion that the sweep notices."""
    with torch.no_grad():
        for module in model.depth.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        last = [m for m in model.pose.modules() if isinstance(m, nn.Conv2d)][-1]
        assert last.bias is not None
        last.bias[:6] = torch.tensor([0.0, 1.0, 0.0, 5.0, 0.0, 2.0])
    return model.eval()
