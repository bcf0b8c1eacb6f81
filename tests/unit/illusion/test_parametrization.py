import numpy as np
import pytest
import torch

from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectra_of, spectrum_shape
from tests.reference import picture_of_spectrum, spectrum_of_picture


def test_pictures_equal_the_sum_over_single_waves():
    spectra = torch.randn(2, *spectrum_shape(8), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # At the frequencies that are their own mirror a real picture has no imaginary part, and the sum above knows no mirror.
    spectra[:, :, :, [0, 4]] = 0
    found = images_from(spectra, frequency_scale(8, decay_power=1.5).double())
    for image, spectrum in zip(found, spectra, strict=True):
        np.testing.assert_allclose(image.numpy(), picture_of_spectrum(spectrum.numpy(), 1.5), rtol=1e-5)


def test_an_empty_spectrum_is_a_grey_picture():
    images = images_from(torch.zeros(1, *spectrum_shape(16)), frequency_scale(16, decay_power=1.5))
    assert torch.equal(images, torch.full((1, 3, 16, 16), 0.5))


def test_twice_the_frequency_has_less_amplitude_by_the_power():
    scale = frequency_scale(64, decay_power=1.5)
    assert scale[0, 8] / scale[0, 16] == pytest.approx(2**1.5)
    assert scale[5, 0] == scale[-5, 0]


def test_the_mean_colour_counts_like_one_cycle():
    scale = frequency_scale(32, decay_power=1.5)
    assert scale[0, 0] == scale[0, 1] == pytest.approx(32**1.5)


def test_power_zero_treats_all_frequencies_alike():
    assert torch.equal(frequency_scale(8, decay_power=0.0), torch.ones(8, 5))


def test_odd_sides_work():
    images = images_from(torch.ones(1, *spectrum_shape(9)), frequency_scale(9, decay_power=1.0))
    assert images.shape == (1, 3, 9, 9)


def test_the_spectra_of_pictures_equal_the_amplitudes_of_single_waves():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((2, 3, 8, 8), generator=generator, dtype=torch.float64) * 0.9 + 0.05
    found = spectra_of(images, frequency_scale(8, decay_power=1.5).double())
    for spectrum, image in zip(found, images, strict=True):
        np.testing.assert_allclose(spectrum.numpy(), spectrum_of_picture(image.numpy(), 1.5), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("side", [8, 9])
def test_the_spectra_of_a_picture_give_it_back(side):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((2, 3, side, side), generator=generator, dtype=torch.float64) * 0.9 + 0.05
    scale = frequency_scale(side, decay_power=1.5).double()
    torch.testing.assert_close(images_from(spectra_of(images, scale), scale), images)


def test_black_and_white_come_back_as_nearly_black_and_white():
    images = torch.zeros(1, 3, 8, 8)
    images[..., ::2] = 1
    scale = frequency_scale(8, decay_power=1.5)
    torch.testing.assert_close(
        images_from(spectra_of(images, scale), scale), images.clamp(0.02, 0.98), atol=1e-4, rtol=0
    )
