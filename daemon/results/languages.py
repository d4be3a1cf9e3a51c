"""The sentences of the Summary in every language, one table; figures and codes are the same in all of them.

All but English are to be checked by a native reader before a site shows them.
"""

from dataclasses import dataclass

from highdicom.sr import CodedConcept
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from daemon.results import codes
from model.header import as_list, value
from model.scope import REFUSALS

# Single-byte sets and the Unicode ones, in which a text is encoded as a whole (PS3.3 C.12.1.1.2); not
# ISO_IR 13, which has other letters in two places of ASCII.
_WHOLE = frozenset([
    "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 126", "ISO_IR 127", "ISO_IR 138",
    "ISO_IR 144", "ISO_IR 148", "ISO_IR 192", "GB18030", "GBK",
])  # fmt: skip


@dataclass(frozen=True)
class Sentences:
    """What the Summary says in one language; a name in braces stands for a figure or another text."""

    code: CodedConcept
    research_use: str
    not_reviewed: str
    regions: dict[str | None, str]
    highest: str
    step2_below: str
    indeterminate: str
    below_threshold: str
    outside_lungs: str
    steps_disagree: str
    unlike_training: str
    step: str
    step2_not_run: str
    no_region: str
    empty: str
    in_lungs: str
    activation: str
    not_probability: str
    model: str
    not_analysed: str
    retrospective: str
    reasons: dict[str, str]


ENGLISH = Sentences(
    code=codes.ENGLISH,
    research_use="RESEARCH USE ONLY - NOT FOR DIAGNOSIS",
    not_reviewed="machine output, not reviewed by a person",
    regions={"right": "right lung", "left": "left lung", None: "outside the lungs"},
    highest="Highest model score: {label}.",
    step2_below="Step 2 is below its threshold.",
    indeterminate="Indeterminate: {why}.",
    below_threshold="the highest model score, {label} {score}, is below the threshold {threshold}",
    outside_lungs="{share} of the activation lies inside the lungs, threshold {threshold} %",
    steps_disagree="step 1 leads to {label}, step 2 to {other}",
    unlike_training="the film is unlike the films the model was trained on",
    step="Step {number}, model score 0 to 100, threshold {threshold}: {scores}.",
    step2_not_run="Step 2: not run, {label} does not lead step 1.",
    no_region="Activation: not shown, {label} has no region.",
    empty="Activation: empty, no region.",
    in_lungs=(
        "Activation inside the lungs: {share}, threshold {threshold} %. "
        "Right lung: {right}, left lung: {left}. Main region: {region}."
    ),
    activation="Activation for {label} (step {number}), from {columns} x {rows} cells.",
    not_probability="A model score is not a probability.",
    model="Model {name}, version {version}, weights sha256 {weights}.",
    not_analysed="Not analysed: {reason}. Found: {found}. Expected: {expected}.",
    retrospective="Read retrospectively: the film was asked of the archive.",
    reasons=dict(REFUSALS),
)  # fmt: skip

GERMAN = Sentences(
    code=CodedConcept("de", "RFC5646", "German"),
    research_use="nur für Forschung, nicht zur Diagnose",
    not_reviewed="maschinelle Ausgabe, von keinem Menschen geprüft",
    regions={"right": "rechte Lunge", "left": "linke Lunge", None: "außerhalb der Lunge"},
    highest="Höchster Modellwert: {label}.",
    step2_below="Schritt 2 liegt unter seinem Schwellenwert.",
    indeterminate="Unbestimmt: {why}.",
    below_threshold="der höchste Modellwert, {label} {score}, liegt unter dem Schwellenwert {threshold}",
    outside_lungs="{share} der Aktivierung liegen innerhalb der Lunge, Schwellenwert {threshold} %",
    steps_disagree="die Schritte widersprechen sich, Schritt 1 führt zu {label}, Schritt 2 zu {other}",
    unlike_training="die Aufnahme ist anders als die Trainingsaufnahmen des Modells",
    step="Schritt {number}, Modellwert 0 bis 100, Schwellenwert {threshold}: {scores}.",
    step2_not_run="Schritt 2: nicht ausgeführt, {label} führt in Schritt 1 nicht.",
    no_region="Aktivierung: nicht gezeigt, {label} hat keine Region.",
    empty="Aktivierung: leer, keine Region.",
    in_lungs=(
        "Aktivierung innerhalb der Lunge: {share}, Schwellenwert {threshold} %. "
        "Rechte Lunge: {right}, linke Lunge: {left}. Hauptregion: {region}."
    ),
    activation="Aktivierung für {label} (Schritt {number}), aus {columns} x {rows} Zellen.",
    not_probability="Ein Modellwert ist keine Wahrscheinlichkeit.",
    model="Modell {name}, Version {version}, Gewichte sha256 {weights}.",
    not_analysed="Nicht ausgewertet: {reason}. Gefunden: {found}. Erwartet: {expected}.",
    retrospective="Nachträglich ausgewertet: die Aufnahme wurde aus dem Archiv geholt.",
    reasons={
        "SOP_CLASS": "keine Objektart, die gelesen wird",
        "OWN_OUTPUT": "ein Ergebnis dieses Systems",
        "FOR_PROCESSING": "zur Verarbeitung bestimmt",
        "MODALITY": "keine Modalität, die gelesen wird",
        "COLOUR": "keine Graustufenaufnahme",
        "MULTI_FRAME": "mehr als ein Bild",
        "MATRIX": "keine Bildmatrix",
        "TOO_SMALL": "zu klein",
        "TOO_LARGE": "zu groß",
        "NOT_CHEST": "keine Thoraxaufnahme",
        "NOT_FRONTAL": "keine Frontalaufnahme",
        "NOT_HUMAN": "kein Mensch",
        "AGE": "außerhalb des Altersbereichs",
        "BLANK": "leer",
        "NOT_PLAUSIBLE": "das Bild zeigt keinen Thorax",
        "ROTATED": "gedreht",
        "POLARITY_INVERTED": "Polarität vertauscht",
        "LUNGS_MISSING": "Lunge abgeschnitten",
    },
)  # fmt: skip

FRENCH = Sentences(
    code=CodedConcept("fr", "RFC5646", "French"),
    research_use="recherche uniquement, pas pour le diagnostic",
    not_reviewed="sortie de machine, non relue par une personne",
    regions={"right": "poumon droit", "left": "poumon gauche", None: "hors des poumons"},
    highest="Score du modèle le plus élevé : {label}.",
    step2_below="L'étape 2 est sous son seuil.",
    indeterminate="Indéterminé : {why}.",
    below_threshold="le score du modèle le plus élevé, {label} {score}, est sous le seuil {threshold}",
    outside_lungs="{share} de l'activation se trouvent dans les poumons, seuil {threshold} %",
    steps_disagree="les deux étapes se contredisent, l'étape 1 mène à {label}, l'étape 2 à {other}",
    unlike_training="le cliché est différent des clichés d'entraînement du modèle",
    step="Étape {number}, score du modèle de 0 à 100, seuil {threshold} : {scores}.",
    step2_not_run="Étape 2 : non exécutée, {label} n'est pas en tête à l'étape 1.",
    no_region="Activation : non montrée, {label} n'a pas de région.",
    empty="Activation : vide, pas de région.",
    in_lungs=(
        "Activation dans les poumons : {share}, seuil {threshold} %. "
        "Poumon droit : {right}, poumon gauche : {left}. Région principale : {region}."
    ),
    activation="Activation pour {label} (étape {number}), à partir de {columns} x {rows} cellules.",
    not_probability="Un score du modèle n'est pas une probabilité.",
    model="Modèle {name}, version {version}, poids sha256 {weights}.",
    not_analysed="Non analysé : {reason}. Trouvé : {found}. Attendu : {expected}.",
    retrospective="Lecture rétrospective : le cliché a été demandé aux archives.",
    reasons={
        "SOP_CLASS": "pas un type d'objet lu",
        "OWN_OUTPUT": "un résultat de ce système",
        "FOR_PROCESSING": "destiné au traitement",
        "MODALITY": "pas une modalité lue",
        "COLOUR": "pas un cliché en niveaux de gris",
        "MULTI_FRAME": "plus d'une image",
        "MATRIX": "pas de matrice d'image",
        "TOO_SMALL": "trop petit",
        "TOO_LARGE": "trop grand",
        "NOT_CHEST": "pas un cliché du thorax",
        "NOT_FRONTAL": "pas un cliché de face",
        "NOT_HUMAN": "pas un être humain",
        "AGE": "hors de la tranche d'âge",
        "BLANK": "vide",
        "NOT_PLAUSIBLE": "l'image ne montre pas de thorax",
        "ROTATED": "tourné",
        "POLARITY_INVERTED": "polarité inversée",
        "LUNGS_MISSING": "poumons coupés",
    },
)  # fmt: skip

SPANISH = Sentences(
    code=CodedConcept("es", "RFC5646", "Spanish"),
    research_use="solo para investigación, no para diagnóstico",
    not_reviewed="resultado automático, no revisado por una persona",
    regions={"right": "pulmón derecho", "left": "pulmón izquierdo", None: "fuera de los pulmones"},
    highest="Puntuación más alta del modelo: {label}.",
    step2_below="El paso 2 está por debajo de su umbral.",
    indeterminate="Indeterminado: {why}.",
    below_threshold=(
        "la puntuación más alta del modelo, {label} {score}, está por debajo del umbral {threshold}"
    ),
    outside_lungs="{share} de la activación está dentro de los pulmones, umbral {threshold} %",
    steps_disagree="los dos pasos se contradicen, el paso 1 lleva a {label}, el paso 2 a {other}",
    unlike_training="la radiografía es distinta de las radiografías de entrenamiento del modelo",
    step="Paso {number}, puntuación del modelo de 0 a 100, umbral {threshold}: {scores}.",
    step2_not_run="Paso 2: no ejecutado, {label} no encabeza el paso 1.",
    no_region="Activación: no mostrada, {label} no tiene región.",
    empty="Activación: vacía, sin región.",
    in_lungs=(
        "Activación dentro de los pulmones: {share}, umbral {threshold} %. "
        "Pulmón derecho: {right}, pulmón izquierdo: {left}. Región principal: {region}."
    ),
    activation="Activación para {label} (paso {number}), a partir de {columns} x {rows} celdas.",
    not_probability="Una puntuación del modelo no es una probabilidad.",
    model="Modelo {name}, versión {version}, pesos sha256 {weights}.",
    not_analysed="No analizado: {reason}. Encontrado: {found}. Esperado: {expected}.",
    retrospective="Lectura retrospectiva: la radiografía se pidió al archivo.",
    reasons={
        "SOP_CLASS": "no es un tipo de objeto que se lea",
        "OWN_OUTPUT": "un resultado de este sistema",
        "FOR_PROCESSING": "para procesamiento",
        "MODALITY": "no es una modalidad que se lea",
        "COLOUR": "no es una imagen en grises",
        "MULTI_FRAME": "más de una imagen",
        "MATRIX": "sin matriz de imagen",
        "TOO_SMALL": "demasiado pequeña",
        "TOO_LARGE": "demasiado grande",
        "NOT_CHEST": "no es una radiografía de tórax",
        "NOT_FRONTAL": "no es una proyección frontal",
        "NOT_HUMAN": "no es un ser humano",
        "AGE": "fuera del rango de edad",
        "BLANK": "en blanco",
        "NOT_PLAUSIBLE": "la imagen no muestra un tórax",
        "ROTATED": "girada",
        "POLARITY_INVERTED": "polaridad invertida",
        "LUNGS_MISSING": "pulmones cortados",
    },
)  # fmt: skip

MAORI = Sentences(
    code=CodedConcept("mi", "RFC5646", "Maori"),
    research_use="mō te rangahau anake, ehara mō te whakatau mate",
    not_reviewed="he putanga mīhini, kāore i arotakea e te tangata",
    regions={
        "right": "pūkahukahu matau", "left": "pūkahukahu mauī", None: "kei waho i ngā pūkahukahu",
    },
    highest="Kaute tauira teitei rawa: {label}.",
    step2_below="Kei raro te hipanga 2 i tōna pae.",
    indeterminate="Kāore i te mārama: {why}.",
    below_threshold="ko te kaute tauira teitei rawa, {label} {score}, kei raro i te pae {threshold}",
    outside_lungs="{share} o te whakahohenga kei roto i ngā pūkahukahu, pae {threshold} %",
    steps_disagree=(
        "kāore ngā hipanga e rua e hāngai, hipanga 1 ki te {label}, hipanga 2 ki te {other}"
    ),
    unlike_training="he rerekē te whakaahua i ngā whakaahua whakangungu o te tauira",
    step="Hipanga {number}, kaute tauira 0 ki te 100, pae {threshold}: {scores}.",
    step2_not_run="Hipanga 2: kāore i whakahaerehia, kāore te {label} e ārahi i te hipanga 1.",
    no_region="Whakahohenga: kāore i whakaaturia, kāore he rohe o te {label}.",
    empty="Whakahohenga: kore, kāore he rohe.",
    in_lungs=(
        "Whakahohenga i roto i ngā pūkahukahu: {share}, pae {threshold} %. "
        "Pūkahukahu matau: {right}, pūkahukahu mauī: {left}. Rohe matua: {region}."
    ),
    activation="Whakahohenga mō {label} (hipanga {number}), mai i ngā pūtau {columns} x {rows}.",
    not_probability="Ehara te kaute tauira i te tūponotanga.",
    model="Tauira {name}, putanga {version}, taumaha sha256 {weights}.",
    not_analysed="Kāore i tātarihia: {reason}. I kitea: {found}. I tūmanakohia: {expected}.",
    retrospective="He pānui whakamuri: i tonoa te whakaahua i te pūranga.",
    reasons={
        "SOP_CLASS": "ehara i te momo ka pānuitia",
        "OWN_OUTPUT": "he putanga nā tēnei pūnaha",
        "FOR_PROCESSING": "mō te tukatuka",
        "MODALITY": "ehara i te momo whakaahua ka pānuitia",
        "COLOUR": "ehara i te whakaahua kiwikiwi",
        "MULTI_FRAME": "neke atu i te whakaahua kotahi",
        "MATRIX": "kāore he poukapa whakaahua",
        "TOO_SMALL": "he iti rawa",
        "TOO_LARGE": "he nui rawa",
        "NOT_CHEST": "ehara i te whakaahua uma",
        "NOT_FRONTAL": "ehara i te whakaahua nō mua",
        "NOT_HUMAN": "ehara i te tangata",
        "AGE": "kei waho i te awhe tau",
        "BLANK": "he wātea",
        "NOT_PLAUSIBLE": "kāore te whakaahua e whakaatu i te uma",
        "ROTATED": "kua hurihia",
        "POLARITY_INVERTED": "kua kōarotia te pango me te mā",
        "LUNGS_MISSING": "kua tapahia ngā pūkahukahu",
    },
)  # fmt: skip

LANGUAGES = {sentences.code.value: sentences for sentences in (ENGLISH, GERMAN, FRENCH, SPANISH, MAORI)}


def character_set(film: Dataset) -> str | None:
    """The film's *Specific Character Set*, if it is one in which whatever it holds is encoded as a whole."""
    stated = [str(term).strip() for term in as_list(value(film, "SpecificCharacterSet"))]
    return stated[0] if len(stated) == 1 and stated[0] in _WHOLE else None


def fitting(film: Dataset, language: str, texts: tuple[str, ...]) -> Sentences:
    """The language asked for, or English where the film's character set lacks a letter of the texts.

    Parameters
    ----------
    film : Dataset
        Header of the film.
    language : str
        One of `LANGUAGES`.
    texts : tuple of str
        In that language.
    """
    return LANGUAGES[language] if fits("".join(texts), character_set(film)) else ENGLISH


def fits(text: str, term: str | None) -> bool:
    """Whether a character set holds every letter of a text; without one, ASCII.

    Parameters
    ----------
    text : str
    term : str or None
        As `character_set` gives it.

    References
    ----------
    DICOM PS3.3 C.12.1.1.2.
    """
    try:
        text.encode(python_encoding[term] if term else "ascii")
    except UnicodeEncodeError:
        return False
    return True
