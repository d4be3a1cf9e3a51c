"""What a card says of every version: standing words, and the bars it is held to."""

# Question, the side it is asked of, where its figure lies in what `evaluate` gives, what is asked, the aim.
BARS = (
    ("accuracy in the paper's mix of classes", "training sources", ("accuracy_in_paper_mix",), 0.91, 0.95),
    ("macro F1", "training sources", ("macro_f1",), 0.87, 0.92),
    ("AUC normal against any pneumonia", "training sources", ("auc", "normal_against_pneumonia"), 0.99, None),
    ("AUC bacterial against viral", "training sources", ("auc", "bacterial_against_viral"), 0.90, None),
    ("AUC COVID-19 against normal", "held-out sources", ("auc", "covid19_against_normal"), 0.84, 0.93),
    ("AUC normal against any pneumonia", "held-out sources", ("auc", "normal_against_pneumonia"), 0.85, None),
    (
        "openist normals right",
        "held-out sources",
        ("by_source", "openist", "per_class", "normal", "recall"),
        0.80,
        None,
    ),
    (
        "raddb normals right",
        "held-out sources",
        ("by_source", "raddb", "per_class", "normal", "recall"),
        0.80,
        None,
    ),
    (
        "accuracy of the surest 70 %",
        "held-out sources",
        ("accuracy_at_70_percent_coverage",),
        0.85,
        None,
    ),
)
# Upper end of the interval of the calibration error, on every side, below which a score is a probability.
CALIBRATED = 0.05

INTENDED = """\
For research on frontal chest films in a test installation: to study how a network of this kind behaves, where
it fails, and how a node can carry its answer into an archive. It gives scores for normal, bacterial, viral,
COVID-19 and other virus, and says when it does not know. Users: researchers and engineers who have read this
card.

**Not for diagnosis, triage, treatment or screening of any person.** It has not been tested on consecutive
patients, on any film of the site that installs it, or together with a reader; it knows no finding but these
(no tumour, effusion, pneumothorax, fracture, heart failure), and a film with one of them still gets scores.
COVID-19 cannot be told from other disease by a chest film alone."""

REFUSED = """\
The node does not read, and says why: another SOP class or modality than CR and DX, films for processing,
colour, several frames, another body part than the chest, a view that is not PA or AP, animals, a matrix below
300 x 300 or above 50 million pixels, an age outside the site's limits, films that cannot be decoded; and by
their picture: blank films (BLANK), films turned by a quarter, a half or three quarters (ROTATED), negatives
(POLARITY_INVERTED), chests without one of the lungs (LUNGS_MISSING), and pictures that are no frontal chest
(NOT_PLAUSIBLE). **A mirrored film cannot be told** from one of a patient whose organs lie the other way
round, and is read. What else passes and should not (an unusual projection, heavy drawing on the film) is
caught only in part. The films here are chests that were to be read: what is refused is refused wrongly,
unless the source itself has it turned, inverted or cut. How pictures that are no chest are refused stands in
the card of the network that finds the lungs."""

LABELS = """\
Classes are the sources' own: kaggle's from the file names (clinicians graded the films; bacterial or
viral is not documented further), nih's normals from reports read by machine, hannover and cxnet label the
patient and not the film, so that some COVID-19 films show nothing; raddb is a compilation. No film was
read again for this card. All bacterial and viral films but a few are of children of 1 to 5 years from one
hospital, nearly all COVID-19 films of adults: **age and source are shortcuts**, and the figures on the
training sources contain them. The held-out sources are held out by collection; cxnet and ieee draw on the
same publications, and raddb's normals on the same archive as nih."""

FIGURES = """\
Every film passes the node's own door; what it refuses is counted and judged no further. *Forced answer*:
both steps are asked whether it is viral (root of the product of their odds), step 1 parts normal from
bacterial, step 2 COVID-19 from other virus; the largest of the four scores. *Decision*: what the node
says, with its thresholds; viral without a name and indeterminate name no class. Brackets: 95 % interval,
1000 draws of patients with replacement; where a class has few films, or all are right, it is narrower
than what is known. A dash: the films cannot tell."""

# Precision and recall of each class as T. Gao and G. Wang give them, on 163 films.
PAPER = {"normal": (0.95, 0.89), "bacterial": (1.00, 0.83), "viral": (0.85, 0.82), "covid19": (0.91, 1.00)}
PAPER_ACCURACY = 0.91

CREDITS = {
    "kaggle": "Kermany, Zhang and Goldbaum, Mendeley Data rscbjbr9sj v2, CC BY 4.0; reduced in size",
    "cxnet": "COVID-CXNet, DOI 10.6084/m9.figshare.12580328, CC BY 4.0; reduced in size",
    "hannover": "Hannover Medical School, DOI 10.6084/m9.figshare.12275009, CC BY 3.0; reduced in size",
    "nih": "NIH Clinical Center (https://nihcc.app.box.com/v/ChestXray-NIHCC), X. Wang et al., ChestX-ray8, "
    "CVPR 2017",
}

LIMITS = """\
- Scores of a film unlike the training films mean little; the check above finds only some of them.
- An activation inside the lungs makes no answer right, and is no outline of a finding.
- The interval of a figure tells how it would vary with other patients of the same sources, not with other
  hospitals.
- Sex, ethnicity and severity are mostly not stated by the sources, so fairness over them could not be judged.
- Predictive values are computed from sensitivity and specificity on these films; with patients as they come,
  both are likely to be worse.
- Nothing was tuned on the test folds or on a held-out source; a reader of this card who chooses between
  versions by these figures does."""

HEADINGS = """\
The headings follow the Model Facts label, CLAIM 2024 and TRIPOD+AI as far as they apply to a network that is
no product: summary, use and warnings (Model Facts); data, reference standard, partitions, model, training,
evaluation, failure analysis, limitations (CLAIM, TRIPOD+AI)."""
