-- The model's score of vectors of the current version: the relation's operator is applied to the source, and its
-- comparator compares the result with the target.
--
-- The subquery reads all relations and does not depend on the row. A subquery that depends on the row fails in Spark 4.2
-- if it is an argument of a Python function in a filter (SCALAR_SUBQUERY_TOO_MANY_ROWS).
CREATE OR REPLACE TEMPORARY FUNCTION twhin_score(source ARRAY<FLOAT>, relation STRING, target ARRAY<FLOAT>)
RETURNS DOUBLE
RETURN twhin_score_through(
  coalesce(
    try_element_at(
      (
        SELECT map_from_entries(
          collect_list(struct(r.relation, struct(r.relation, r.operator, r.parameters, r.comparator)))
        )
        FROM twhin_relations AS r
      ),
      twhin_score.relation
    ),
    CASE WHEN twhin_score.relation IS NOT NULL THEN
      raise_error('unknown relation \'' || twhin_score.relation || '\'; SELECT relation FROM twhin_relations lists them')
    END
  ),
  source,
  target
);
