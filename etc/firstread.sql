-- Views of the job database for an admin, kept in SQLite:
--   sqlite3 /var/lib/firstread/firstread.db < /etc/firstread/firstread.sql
-- then for example: SELECT * FROM stuck;
-- The file for PostgreSQL is beside this one: the two databases share no function that formats a
-- time, subtracts minutes or writes hexadecimal. A test holds both files to the same answers.
-- Times are of this machine's zone. No table holds a patient's identity.

DROP VIEW IF EXISTS job_tail;
DROP VIEW IF EXISTS job_today;
DROP VIEW IF EXISTS stuck;
DROP VIEW IF EXISTS failed;
DROP VIEW IF EXISTS destinations;

-- The last 50 moves of films and deliveries, newest last, as `firstread tail` shows them.
CREATE VIEW job_tail AS
SELECT at, job, what, from_state, to_state, who, message
FROM (
  SELECT
    event.id,
    strftime('%Y-%m-%d %H:%M:%S', event.at, 'localtime') AS at,
    event.film_id AS job,
    COALESCE(delivery.kind || ' to ' || delivery.destination, 'film') AS what,
    event.from_state,
    event.to_state,
    event.who,
    event.message
  FROM event
  LEFT JOIN delivery ON delivery.id = event.delivery_id
  ORDER BY event.id DESC
  LIMIT 50
) AS newest
ORDER BY id;

-- Films received since midnight, newest last, and how many of their results are where.
CREATE VIEW job_today AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', film.received_at, 'localtime') AS received_at,
  film.id AS job,
  film.calling_ae_title,
  film.accession_number,
  film.state,
  film.decision,
  film.reason,
  SUM(CASE WHEN delivery.state IN ('SENT', 'COMMITTED') THEN 1 ELSE 0 END) AS results_sent,
  SUM(CASE WHEN delivery.state IN ('PENDING', 'SENDING') THEN 1 ELSE 0 END) AS results_waiting,
  SUM(CASE WHEN delivery.state = 'FAILED' THEN 1 ELSE 0 END) AS results_failed
FROM film
LEFT JOIN delivery ON delivery.film_id = film.id
WHERE date(film.received_at, 'localtime') = date('now', 'localtime')
GROUP BY film.id
ORDER BY film.id;

-- Work that nobody does although it is due, and what to do about it.
CREATE VIEW stuck AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', changed_at, 'localtime') AS since,
  id AS job,
  'film' AS what,
  state,
  claimed_by,
  CASE state
    WHEN 'READING' THEN 'its reader is gone; the read or send process puts it back: see that firstread-read runs'
    ELSE 'nobody reads it: see that firstread-read runs, and its log'
  END AS what_to_do
FROM film
WHERE (state = 'READING' AND claimed_until < datetime('now'))
   OR (state = 'QUEUED' AND changed_at < datetime('now', '-10 minutes'))
UNION ALL
SELECT
  strftime('%Y-%m-%d %H:%M:%S', COALESCE(delivery.commitment_due_at, delivery.next_attempt_at), 'localtime') AS since,
  delivery.film_id AS job,
  delivery.kind || ' to ' || delivery.destination AS what,
  delivery.state,
  delivery.claimed_by,
  CASE
    WHEN delivery.state = 'SENDING' THEN 'its sender is gone; the read or send process puts it back: see that firstread-send runs'
    WHEN destination.state = 'DOWN' THEN 'it takes nothing now: see view destinations for its last error'
    WHEN delivery.state = 'SENT' THEN 'nobody asks for its commitment: see that firstread-send runs, and that the config has destination ' || delivery.destination
    ELSE 'nobody sends it: see that firstread-send runs, and that the config has destination ' || delivery.destination
  END AS what_to_do
FROM delivery
LEFT JOIN destination ON destination.name = delivery.destination
WHERE (delivery.state = 'SENDING' AND delivery.claimed_until < datetime('now'))
   OR (delivery.state = 'PENDING' AND delivery.next_attempt_at < datetime('now', '-10 minutes'))
   OR (delivery.state = 'SENT' AND delivery.commitment_due_at < datetime('now', '-10 minutes'))
ORDER BY since, job;

-- What ended without a result, and why; `firstread requeue JOB` tries again.
CREATE VIEW failed AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', changed_at, 'localtime') AS at,
  id AS job,
  'film' AS what,
  attempts,
  NULL AS peer_status,
  reason
FROM film
WHERE state = 'FAILED'
UNION ALL
SELECT
  strftime('%Y-%m-%d %H:%M:%S', changed_at, 'localtime') AS at,
  film_id AS job,
  kind || ' to ' || destination AS what,
  attempts,
  CASE WHEN peer_status IS NOT NULL THEN printf('0x%04X', peer_status) END AS peer_status,
  reason
FROM delivery
WHERE state = 'FAILED'
ORDER BY at, job;

-- Every destination that was ever tried, since when it takes results or not, and what waits for it.
CREATE VIEW destinations AS
SELECT
  destination.name,
  destination.state,
  strftime('%Y-%m-%d %H:%M:%S', destination.since, 'localtime') AS since,
  strftime('%Y-%m-%d %H:%M:%S', destination.next_probe_at, 'localtime') AS next_probe_at,
  SUM(CASE WHEN delivery.state IN ('PENDING', 'SENDING') THEN 1 ELSE 0 END) AS results_waiting,
  SUM(CASE WHEN delivery.state = 'SENT' AND delivery.commitment_due_at IS NOT NULL THEN 1 ELSE 0 END) AS results_not_committed,
  SUM(CASE WHEN delivery.state = 'FAILED' THEN 1 ELSE 0 END) AS results_failed,
  strftime('%Y-%m-%d %H:%M:%S', destination.last_success_at, 'localtime') AS last_success_at,
  strftime('%Y-%m-%d %H:%M:%S', destination.last_error_at, 'localtime') AS last_error_at,
  destination.last_error
FROM destination
LEFT JOIN delivery ON delivery.destination = destination.name
GROUP BY destination.name
ORDER BY destination.name;
