-- The current vectors of one entity type, for example of users. Run views.sql first:
--
--   spark-sql --hivevar tables=/data/build/demo/tables --hivevar type=user -i views.sql -f views_by_type.sql

CREATE OR REPLACE TEMPORARY VIEW `twhin_${type}` AS
SELECT entity_id, embedding, norm, degree, model_version
FROM twhin_vectors
WHERE entity_type = '${type}';
