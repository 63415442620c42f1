"""The head that tells things apart: its shapes and size, and that it learns true maps from features that show them."""

from __future__ import annotations

import numpy as np
import torch

from gemini_ros.core.grouping import grouped, true_maps
from gemini_ros.core.instance_maps import InstanceMaps
from gemini_ros.network.instances import InstanceHead, decoder_features, folded, instance_loss
from test.network.phrase_models import network


def head(inputs: int = 256, seed: int = 0) -> InstanceHead:
    """With norms that nothing begins with, so that every part counts."""
    torch.manual_seed(seed)
    made = InstanceHead(inputs)
    with torch.no_grad():
        for spread in made.spread:
            spread.norm.running_mean.normal_(0, 0.1)
            spread.norm.running_var.uniform_(0.5, 2)
            spread.norm.weight.uniform_(0.5, 2)
            spread.norm.bias.normal_(0, 0.1)
    return made.eval()


def test_a_few_thousand_weights_give_a_centre_and_an_offset_for_each_place():
    made = head()
    assert sum(value.numel() for value in made.parameters()) < 6000
    centres, offsets = made(torch.randn(2, 256, 6, 10))
    assert (centres.shape, offsets.shape) == ((2, 6, 10), (2, 2, 6, 10))


def test_its_features_predict_what_the_network_predicts():
    torch.manual_seed(0)
    plain = network()
    images = [torch.randn(2, 3, 96, 160) for _ in range(3)]
    for present in (torch.ones(2, 3), torch.tensor([[1.0, 0, 0], [0, 1, 1]])):
        with torch.inference_mode():
            features = decoder_features(plain, images, present)
            # Processors add up in another order.
            predicted = plain.decoder.predict(features)
            torch.testing.assert_close(predicted, plain(images, present).ensemble, atol=1e-4, rtol=1e-4)


def test_the_folded_head_says_the_same():
    made, features = head(), torch.randn(1, 256, 6, 10)
    with torch.inference_mode():
        for found, expected in zip(folded(made)(features), made(features), strict=True):
            torch.testing.assert_close(found, expected)


def test_it_learns_things_and_ignores_what_is_not_labelled():
    """Four boards whose edges the features show; where nothing is labelled the truth is wrong on purpose."""
    ids = np.zeros((24, 32), np.uint8)
    ids[3:14, 2:8], ids[5:18, 8:13], ids[4:12, 20:25], ids[14:22, 22:30] = 1, 2, 3, 4
    truth = true_maps(ids)
    torch.manual_seed(0)
    features = torch.randn(1, 40, 24, 32) * 0.02
    rows, columns = np.mgrid[:24, :32]
    features[0, 0] = torch.from_numpy((ids > 0).astype(np.float32))
    for number in range(1, 5):
        inside = ids == number
        for channel, at in ((1, rows), (2, columns)):
            middle = at[inside].mean()
            features[0, channel][torch.from_numpy(inside)] = torch.from_numpy((at[inside] - middle).astype(np.float32))
    known, things = torch.ones(1, 24, 32), torch.from_numpy(ids > 0).float()[None]
    centres, offsets = (torch.from_numpy(a)[None].clone() for a in (truth.centres, truth.offsets))
    known[:, :, 31], centres[:, :, 31] = 0, 1e3
    made = InstanceHead(40).train()
    optimizer = torch.optim.AdamW(made.parameters(), 1e-2)
    losses = []
    for _ in range(250):
        parts = instance_loss(made(features), centres, offsets, things, known)
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    with torch.inference_mode():
        found = [map_[0].numpy() for map_ in made.eval()(features)]
    assert found[0][3:22, 2:30].max() < 2
    labels = grouped(ids > 0, InstanceMaps(found[0], found[1]))
    agreeing = sum(np.bincount(labels[ids == number]).max() for number in range(1, 5))
    assert agreeing > 0.95 * (ids > 0).sum() and np.unique(labels[ids > 0]).size == 4
