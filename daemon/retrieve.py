"""Query/Retrieve SCU, Study Root (PS3.4 annex C): what an archive has, and having it sent to us."""

import datetime
import logging
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from daemon import peer
from daemon.config import Backfill
from daemon.outcomes import NotTaken, PeerRefused, PeerUnavailable
from daemon.peer import Association
from model import header
from storage.backfills import FoundInstance

# An archive may fetch films from slow media before it says a word.
RESPONSE_TIMEOUT_SECONDS = 300.0
# PS3.4 tables C.4-1 and C.4-2.
SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)
OUT_OF_RESOURCES = 0xA700
MOVE_DESTINATION_UNKNOWN = 0xA801
_LOGGER = logging.getLogger("firstread.retrieve")


class DestinationUnknown(PeerRefused):
    """The archive does not know where our AE title is."""


class Archive:
    """An archive that is asked; associates when it is first needed, and again once the association has ended.

    Parameters
    ----------
    ae_title : str
        Ours, also as the destination of moves.
    to : Backfill
    """

    def __init__(self, ae_title: str, to: Backfill) -> None:
        self._ae_title = ae_title
        self._to = to
        self._assoc: Association | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the association, if there is one."""
        if self._assoc is not None and self._assoc.is_established:
            self._assoc.release()
        self._assoc = None

    def instances(
        self, day: datetime.date, modalities: Sequence[str], sop_class_uids: Collection[str]
    ) -> list[FoundInstance]:
        """What the archive has of a day.

        Asked study by study and series by series, as not every archive answers relational queries (PS3.4
        C.4.1.2.2), and for one modality at a time, as not every one takes a list; what an archive lets
        through is looked at again here.

        Parameters
        ----------
        day : date
            *Study Date*.
        modalities : sequence of str
            *Modality* of the series.
        sop_class_uids : collection of str
            Classes that are wanted; an archive need not tell an instance's.

        Raises
        ------
        PeerUnavailable
            If there is no association, or it ends before the answer.
        NotTaken
            If the archive is out of resources.
        PeerRefused
            For any status not named here.
        """
        found = {
            one.sop_instance_uid: one
            for study in self._studies(day, modalities)
            for one in self._of_study(study, modalities, sop_class_uids)
        }
        return list(found.values())

    def studies(
        self, uids: Sequence[str], modalities: Sequence[str], sop_class_uids: Collection[str]
    ) -> dict[str, list[FoundInstance]]:
        """Those of some studies that the archive has, each with its instances that are wanted.

        All are asked for in one query (List of UID Matching, PS3.4 C.2.2.2.2), and one by one those that are
        not named then: an archive may take no lists, or take of one the first only.

        Parameters
        ----------
        uids : sequence of str
            Study Instance UIDs.
        modalities, sop_class_uids
            As of `instances`.

        Raises
        ------
        PeerUnavailable, NotTaken, PeerRefused
            As `instances`.
        """
        answers = self._named(uids)
        for uid in uids:
            if uid not in answers:
                answers |= self._named([uid])
        return {
            uid: self._of_study(uid, modalities, sop_class_uids)
            if any(_may_have(answers[uid], modality) for modality in modalities)
            else []
            for uid in uids
            if uid in answers
        }

    def _named(self, uids: Sequence[str]) -> dict[str, Dataset]:
        """What the archive says of studies, by UID; nothing if it will not answer a list."""
        try:
            answers = self._find("STUDY", StudyInstanceUID=list(uids), ModalitiesInStudy="")
        except PeerRefused as error:
            if len(uids) == 1:
                raise
            _LOGGER.info("%d studies are asked for one by one: %s", len(uids), error)
            return {}
        by_uid = {header.text(answer, "StudyInstanceUID"): answer for answer in answers}
        return {uid: by_uid[uid] for uid in uids if uid in by_uid}

    def _of_study(
        self, study: str, modalities: Sequence[str], sop_class_uids: Collection[str]
    ) -> list[FoundInstance]:
        return [
            FoundInstance(study, series, sop_instance_uid)
            for series in self._series(study, modalities)
            for sop_instance_uid, sop_class_uid in self._of_series(study, series)
            if sop_class_uid in ("", *sop_class_uids)
        ]

    def _studies(self, day: datetime.date, modalities: Sequence[str]) -> list[str]:
        date = day.strftime("%Y%m%d")
        studies = [
            header.text(answer, "StudyInstanceUID")
            for modality in modalities
            for answer in self._find("STUDY", StudyDate=date, StudyInstanceUID="", ModalitiesInStudy=modality)
            if header.text(answer, "StudyDate") in ("", date) and _may_have(answer, modality)
        ]
        return [uid for uid in dict.fromkeys(studies) if _is_usable(uid)]

    def _series(self, study: str, modalities: Sequence[str]) -> list[str]:
        answers = self._find("SERIES", StudyInstanceUID=study, SeriesInstanceUID="", Modality="")
        return [
            uid
            for answer in answers
            if header.text(answer, "Modality") in modalities
            and _is_usable(uid := header.text(answer, "SeriesInstanceUID"))
        ]

    def _of_series(self, study: str, series: str) -> Iterator[tuple[str, str]]:
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        for answer in self._find("IMAGE", **keys, SOPInstanceUID="", SOPClassUID=""):
            uid = header.text(answer, "SOPInstanceUID")
            if _is_usable(uid):
                yield uid, header.text(answer, "SOPClassUID")

    def _find(self, level: str, **keys: str | list[str]) -> list[Dataset]:
        """C-FIND (PS3.4 C.4.1); all matches, or none."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        assoc = self._associated()
        try:
            answers = assoc.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind)
        except RuntimeError as error:  # it ended since we looked
            raise PeerUnavailable("the association ended before C-FIND") from error
        matches = []
        for answer, match in answers:
            status = answer.get("Status")
            if status is None:
                raise PeerUnavailable(
                    f"{self._to.ae_title} ended the association before its answer to C-FIND; "
                    f"does it know {self._ae_title}?"
                )
            if status in PENDING:
                matches.append(match)
            elif status != SUCCESS:
                said = f"{self._to.ae_title} answered C-FIND with {peer.status_in_words(answer)}"
                raise NotTaken(said, status) if status == OUT_OF_RESOURCES else PeerRefused(said, status)
        return matches

    def move(self, instances: Sequence[FoundInstance]) -> str:
        """Have the archive send us instances of one series (PS3.4 C.4.2).

        Returns
        -------
        str
            What the archive says went wrong; empty if nothing.

        Raises
        ------
        PeerUnavailable
            If there is no association.
        DestinationUnknown
            If the archive does not know our AE title.
        """
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.StudyInstanceUID = instances[0].study_instance_uid
        identifier.SeriesInstanceUID = instances[0].series_instance_uid
        identifier.SOPInstanceUID = [one.sop_instance_uid for one in instances]
        assoc = self._associated()
        try:
            answers = assoc.send_c_move(
                identifier, self._ae_title, StudyRootQueryRetrieveInformationModelMove
            )
        except RuntimeError as error:  # it ended since we looked
            raise PeerUnavailable("the association ended before C-MOVE") from error
        *_, (answer, _) = answers
        status = answer.get("Status")
        if status is None:
            return "the association ended before the last answer to C-MOVE"
        if status == SUCCESS:
            return ""
        said = peer.status_in_words(answer)
        if status == MOVE_DESTINATION_UNKNOWN:
            raise DestinationUnknown(said, status)
        failed = answer.get("NumberOfFailedSuboperations")
        return f"{said}, {failed} of {len(instances)} failed" if failed else said

    def _associated(self) -> Association:
        if self._assoc is None or not self._assoc.is_established:
            self.close()
            needed = {
                StudyRootQueryRetrieveInformationModelFind,
                StudyRootQueryRetrieveInformationModelMove,
            }
            self._assoc = peer.associate(self._ae_title, self._to, needed)
            self._assoc.dimse_timeout = RESPONSE_TIMEOUT_SECONDS
            lacking = needed - {one.abstract_syntax for one in self._assoc.accepted_contexts}
            if lacking:
                self.close()
                raise peer.no_context(sorted(lacking))
        return self._assoc


def _may_have(answer: Dataset, modality: str) -> bool:
    stated = header.as_list(header.value(answer, "ModalitiesInStudy"))
    return not stated or modality in stated


def _is_usable(uid: str) -> bool:
    if UID(uid).is_valid:
        return True
    _LOGGER.warning("the archive named %r, expected a UID; left out", uid)
    return False
