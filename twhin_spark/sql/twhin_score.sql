-- The model's own score: the source as the relation shows it, compared with the target by the relation's comparator.
-- For vectors of the current version.
--
-- The subquery takes all relations, and so does not depend on the row: Spark 4.2 plans one that does wrongly where it is
-- an argument of a Python function in a filter (SCALAR_SUBQUERY_TOO_MANY_ROWS).
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
