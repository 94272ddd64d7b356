-- Views of the published tables. They need Spark with Delta, but not this package:
--
--   spark-sql --hivevar tables=/data/build/demo/tables -i views.sql
--
-- `tables` is the absolute folder or URI of the tables. The views follow the current version: after a publish they show
-- the new one, after a RESTORE of `embeddings` the old one. Remove TEMPORARY to keep them in a metastore.

-- The current vectors, of all types.
CREATE OR REPLACE TEMPORARY VIEW twhin_vectors AS
SELECT entity_type, entity_id, embedding, norm, degree, model_version
FROM delta.`${tables}/embeddings`;

-- The current version's relations: operator and parameters that are applied to a source to rank targets, and the
-- comparator of the result and a target. In older tables, which have no column `comparator`, it is dot. Reading
-- the column by way of JSON works with and without it.
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

-- All published versions. The vectors of one are `embeddings` VERSION AS OF table_version.
CREATE OR REPLACE TEMPORARY VIEW twhin_versions AS
SELECT
  model_version,
  table_version,
  published_at,
  model_version = (SELECT first(model_version) FROM twhin_vectors) AS is_current,
  metrics
FROM delta.`${tables}/model_versions`;
