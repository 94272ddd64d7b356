-- Views of what is published. They need Spark with Delta, not this package:
--
--   spark-sql --hivevar tables=/data/build/demo/tables -i views.sql
--
-- `tables` is the absolute folder or URI of the tables. The views show what is current whenever they are asked: after a
-- publish the new version, after a RESTORE of `embeddings` the old one. Drop TEMPORARY to keep them in a metastore.

-- The current vectors, of all types.
CREATE OR REPLACE TEMPORARY VIEW twhin_vectors AS
SELECT entity_type, entity_id, embedding, norm, degree, model_version
FROM delta.`${tables}/embeddings`;

-- What the current version's relations do to a source, to rank targets, and how they compare the two. Tables that older
-- code wrote have no comparators: theirs is dot. By way of JSON, a column may be missing.
CREATE OR REPLACE TEMPORARY VIEW twhin_relations AS
SELECT
  relation,
  source_type,
  target_type,
  operator,
  parameters,
  coalesce(get_json_object(to_json(struct(*)), '$.comparator'), 'dot') AS comparator,
  model_version
FROM delta.`${tables}/relations`
WHERE side = 'target' AND model_version = (SELECT first(model_version) FROM twhin_vectors);

-- Every published version: where its vectors are (VERSION AS OF table_version), and whether it is the current one.
CREATE OR REPLACE TEMPORARY VIEW twhin_versions AS
SELECT
  model_version,
  table_version,
  published_at,
  model_version = (SELECT first(model_version) FROM twhin_vectors) AS is_current,
  metrics
FROM delta.`${tables}/model_versions`;
