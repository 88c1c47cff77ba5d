"""Sound as a page can carry it: spectrogram pictures (PNG) and players (FLAC) as data URIs."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import soundfile
from scipy import fft
from scipy.signal.windows import hann

N_FFT = 512  # [samples]
HOP = 256  # [samples]
MAX_COLUMNS = 1600
RANGE_DB = 70.0  # from the brightest to black


def level_db(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) to levels (F, T) [dB], frame t centred at t * HOP; a full-scale sine gives -6 dB."""
    window = hann(N_FFT, sym=False)
    padded = np.pad(samples, (N_FFT // 2, N_FFT))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[: len(samples) + 1 : HOP]
    spectrum = fft.rfft(frames * (window / window.sum()), axis=-1)[:, :-1]  # (T, F)
    return 20 * np.log10(np.abs(spectrum.T) + 1e-8)


def spectrogram_png(samples: np.ndarray, top_db: float, colour: str) -> bytes:
    """Picture of samples (N,): low frequencies below, black to `colour` ("#rrggbb") to near white at `top_db`."""
    level = level_db(samples)
    if level.shape[1] > MAX_COLUMNS:
        # a maximum keeps short sounds that a mean would wash out
        starts = np.linspace(0, level.shape[1], MAX_COLUMNS, endpoint=False).astype(int)
        level = np.maximum.reduceat(level, starts, axis=1)
    share = np.clip((level - top_db) / RANGE_DB + 1, 0, 1)  # (F, T)
    steps = len(palette(colour)) - 1
    return png(np.flipud(np.rint(share * steps)).astype(np.uint8), palette(colour))


def palette(colour: str, n_steps: int = 64) -> np.ndarray:
    """Colours (n_steps, 3), uint8, from near black through "#rrggbb" to near white, evenly rising in lightness."""
    middle = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    stops = np.stack([[14.0, 16, 22], 0.35 * middle + 8, middle, 0.45 * middle + 0.55 * 255, [255.0, 253, 245]])
    position = np.linspace(0, len(stops) - 1, n_steps)
    channels = [np.interp(position, range(len(stops)), stops[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def png(indices: np.ndarray, colours: np.ndarray) -> bytes:
    """Palette picture from indices (height, width), uint8, into colours (N, 3), uint8 (PNG specification, 11)."""
    height, width = indices.shape
    rows = np.pad(indices, ((0, 0), (1, 0)))  # each row begins with its filter type, 0: none
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)),  # 8 bits, colour type 3: palette
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def flac(samples: np.ndarray, sample_rate: int) -> bytes:
    """Samples (N,) in [-1, 1] as a 16-bit FLAC file, which every browser plays; silence costs next to nothing."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def data_uri(content: bytes, mime_type: str) -> str:
    """Content as an address that needs no network."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
