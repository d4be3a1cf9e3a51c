"""The script that a hospital would write in an afternoon, with the libraries that Firstread uses, and well.

pynetdicom receives, `predict` answers, highdicom makes the results, and each goes to the PACS on an
association of its own, all in the handler. It finds no lungs, keeps nothing on disk and tries nothing again,
so it does less than Firstread does for a film.

    PYTHONPATH=tests python -m bench.straightforward PORT PACS_PORT VERSION
"""

import logging
import sys
import threading

import highdicom as hd
import numpy as np
import tensorflow as tf
from highdicom import sr
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sr.codedict import codes
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from model.networks import gao
from model.preprocess import network_input
from model.weights import open_version

FILMS = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)
LONGEST_SIDE = 1024
TITLE = "Research use only - not for diagnosis"


class Script:
    """The network of the paper in two steps, and what is made of its answer.

    Parameters
    ----------
    version_name : str
        Version of the network of `model.networks.gao`.
    """

    def __init__(self, version_name: str) -> None:
        version = open_version(version_name)
        self._labels = [version.cascade.labels(number) for number in (1, 2)]
        self._networks = gao.load(version.weights, [len(labels) for labels in self._labels])
        self._cams = [_activation_of(network) for network in self._networks]
        self._lock = threading.Lock()  # Keras does not promise that threads may share a network
        black = np.zeros((1, gao.INPUT_SIZE, gao.INPUT_SIZE, 3), np.float32)
        for network, cam in zip(self._networks, self._cams, strict=True):
            network.predict(black, verbose=0)
            cam(tf.constant(black), tf.constant(0))

    def read(self, ds: Dataset) -> list[Dataset]:
        """Secondary Capture and report of a film.

        Parameters
        ----------
        ds : Dataset
            With its file meta information and pixels.
        """
        film = _display(ds)
        image = network_input(film, gao.INPUT_SIZE)[np.newaxis]
        with self._lock:
            scores = [self._networks[0].predict(image, verbose=0)[0]]
            step = 0
            if self._labels[0][int(scores[0].argmax())] == "viral":
                scores.append(self._networks[1].predict(image, verbose=0)[0])
                step = 1
            leading = int(scores[-1].argmax())
            activation = self._cams[step](tf.constant(image), tf.constant(leading)).numpy()
        named = {
            label: float(score)
            for labels, of_step in zip(self._labels, scores, strict=False)
            for label, score in zip(labels, of_step, strict=True)
        }
        return [_capture(ds, film, activation, named), _report(ds, named)]


def _activation_of(network: tf.keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """Grad-CAM of one class, (8, 8) float32, 0 to 1."""
    parts = tf.keras.Model(network.inputs, [network.get_layer(gao.LAST_FEATURES).output, network.outputs[0]])

    @tf.function(reduce_retracing=True)
    def activation(image: tf.Tensor, leading: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            features, scores = parts(image)
            score = tf.gather(scores[0], leading)
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
        cam = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))[0]
        return tf.math.divide_no_nan(cam, tf.reduce_max(cam))

    return activation


def _display(ds: Dataset) -> np.ndarray:
    """The film in grey levels, black at 0, (rows, columns) uint8, longest side `LONGEST_SIDE`."""
    grey = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds).astype(np.float32)
    grey = (grey - grey.min()) / (np.ptp(grey) or 1.0)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    picture = Image.fromarray((255 * grey).astype(np.uint8))
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def _capture(ds: Dataset, film: np.ndarray, activation: np.ndarray, scores: dict[str, float]) -> Dataset:
    """The film under the activation in red, with the scores in words."""
    size = film.shape[1], film.shape[0]
    heat = Image.fromarray((255 * activation).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    weight = 0.4 * np.asarray(heat, np.float32)[..., np.newaxis] / 255
    red = np.array([255, 0, 0], np.float32)
    picture = Image.fromarray((film[..., np.newaxis] * (1 - weight) + red * weight).astype(np.uint8))
    words = [TITLE, *(f"{label} {100 * score:.1f}" for label, score in scores.items())]
    ImageDraw.Draw(picture).multiline_text((16, 16), "\n".join(words), fill="yellow")
    return hd.sc.SCImage.from_ref_dataset(
        ref_dataset=ds,
        pixel_array=np.asarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=ds.get("PatientOrientation") or ("L", "F"),
        series_instance_uid=hd.UID(),
        series_number=901,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Hospital",
    )


def _report(ds: Dataset, scores: dict[str, float]) -> Dataset:
    """The scores by TID 1500."""
    device = sr.DeviceObserverIdentifyingAttributes(uid=hd.UID(), manufacturer_name="Hospital")
    observer = sr.ObserverContext(codes.DCM.Device, device)
    source = sr.SourceImageForMeasurementGroup.from_source_image(ds)
    groups = [
        sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(hd.UID(), label),
            source_images=[source],
            measurements=[sr.Measurement(codes.DCM.CertaintyOfFinding, 100 * score, codes.UCUM.Percent)],
        )
        for label, score in scores.items()
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr.CodedConcept("399208008", "SCT", "Plain chest X-ray"),
        imaging_measurements=groups,
    )
    return sr.Comprehensive3DSR(
        evidence=[ds],
        content=content,
        series_instance_uid=hd.UID(),
        series_number=902,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Hospital",
        is_complete=True,
    )


def send(result: Dataset, port: int) -> None:
    """C-STORE of one result on an association of its own."""
    ae = AE(ae_title="SCRIPT")
    ae.add_requested_context(result.SOPClassUID, result.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port, ae_title="PACS")
    if not assoc.is_established:
        raise ConnectionError(f"no association with the PACS on port {port}")
    status = assoc.send_c_store(result)
    assoc.release()
    if status.get("Status") != 0x0000:
        raise ConnectionError(f"the PACS answered {status.get('Status')}")


def main() -> None:
    """Serve until ended."""
    port, pacs_port, version_name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    script = Script(version_name)

    def handle_store(event: evt.Event) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        try:
            for result in script.read(ds):
                send(result, pacs_port)
        except Exception:
            logging.exception("not read")
            return 0xC211
        return 0x0000

    ae = AE(ae_title="SCRIPT")
    ae.maximum_pdu_size = 131072
    for sop_class in FILMS:
        ae.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, handle_store)])


if __name__ == "__main__":
    main()
