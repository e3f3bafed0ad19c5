import pytest
import torch
from torch.nn import functional as F

from mono2many.models.architecture import Padding
from mono2many.models.decoder import DepthDecoder, Elu

CHANNELS = (8, 8, 16, 16, 24)


def features(
    height: int = 64, width: int = 96, channels: tuple[int, ...] = CHANNELS
) -> list[torch.Tensor | None]:
    return [
        torch.rand(2, c, height // s, width // s) if c else None
        for c, s in zip(channels, (2, 4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("scales", [1, 4])
def test_maps_come_finest_first_each_half_the_one_before_within_0_and_1(scales: int) -> None:
    maps = DepthDecoder(CHANNELS, scales=scales)(features())
    assert [tuple(m.shape) for m in maps] == [(2, 1, 64 >> s, 96 >> s) for s in range(scales)]
    assert all(m.min() > 0 and m.max() < 1 for m in maps)


def test_without_a_map_at_stride_2_there_is_no_skip_there() -> None:
    channels = (0, 8, 16, 16, 24)
    decoder = DepthDecoder(channels)
    assert decoder(features(channels=channels))[0].shape == (2, 1, 64, 96)
    assert decoder.fuse[3][0].in_channels == 32  # its own width alone


@pytest.mark.parametrize("padding", ["reflect", "zeros", "replicate"])
def test_the_padding_is_that_of_every_3x3_convolution(padding: Padding) -> None:
    decoder = DepthDecoder(CHANNELS, padding=padding)
    modes = {m.padding_mode for m in decoder.modules() if isinstance(m, torch.nn.Conv2d)}
    assert modes == {padding}


def test_on_a_plain_input_reflection_keeps_the_output_plain_and_zeros_do_not() -> None:
    plain = [torch.full_like(f, 0.5) for f in features() if f is not None]
    torch.manual_seed(0)
    reflect = DepthDecoder(CHANNELS, padding="reflect", scales=1)
    zeros = DepthDecoder(CHANNELS, padding="zeros", scales=1)
    zeros.load_state_dict(reflect.state_dict())
    assert reflect(plain)[0].std() < 1e-6
    assert zeros(plain)[0].std() > 1e-4


def test_the_papers_decoder_has_the_papers_widths() -> None:
    decoder = DepthDecoder((64, 64, 128, 256, 512))
    shapes = [
        (c[0].in_channels, c[0].out_channels)
        for pair in zip(decoder.reduce, decoder.fuse, strict=True)
        for c in pair
    ]
    into = [512, 512, 256, 256, 128, 128, 64, 96, 32, 16]  # at stride 2: 32 + 64 of the skip
    assert shapes == list(zip(into, [256, 256, 128, 128, 64, 64, 32, 32, 16, 16], strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_our_elu_is_torchs_in_values_and_gradients(dtype: torch.dtype) -> None:
    x = torch.linspace(-9, 3, 1001).to(dtype).requires_grad_()
    ours, theirs = Elu()(x), F.elu(x.clone(), inplace=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        *(torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs)), rtol=1e-6, atol=1e-7
    )


def test_with_batch_norm_every_convolution_but_the_heads_is_followed_by_one_and_has_no_bias() -> None:
    decoder = DepthDecoder(CHANNELS, "medium")
    for stage in [*decoder.reduce, *decoder.fuse]:
        assert [type(layer).__name__ for layer in stage] == ["Conv3x3", "BatchNorm2d", "ReLU"]
        assert stage[0].bias is None
    assert all(head.bias is not None for head in decoder.heads)


def test_in_mixed_precision_the_logit_is_not_rounded() -> None:
    decoder = DepthDecoder(CHANNELS).eval()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        stages = decoder.stages(features())
        finest = decoder.maps(stages)[0]
    assert stages[-1].dtype == torch.bfloat16
    assert torch.equal(finest, decoder.heads[0](stages[-1].float()).sigmoid())
