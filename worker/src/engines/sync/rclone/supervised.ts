/** Without a sign of life from the worker for so long, rclone is killed: a run that lost its worker must write nothing more. */
export const lifelineSeconds = 20;
export const lifelineIntervalMs = 5000;

/**
 * Starts its arguments with standard error on the pipe, and kills the whole process group when its standard input ends (the worker
 * is gone) or is silent (the worker is stopped): then nobody else removes the run's directory, in which it was started.
 * SIGTERM reaches the program, which then ends in its own time.
 */
export const superviseScript = `
exec 5<&0
"$@" </dev/null 5<&- 2>&1 >/dev/null &
child=$!
{
  while read -r -t ${lifelineSeconds} -u 5 _; do :; done
  kill -KILL "$child"
  case $PWD in */xvault-sync-??????) rm -rf -- "$PWD" ;; esac
  kill -KILL 0
} >/dev/null 2>&1 &
lifeline=$!
exec 5<&-
trap : TERM
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
kill -KILL "$lifeline" 2>/dev/null
exit "$code"
`;
