// Tests, what several of them share, and processes that they start.
const test = '\\.(test|test-kit)\\.ts$|-test-(kit|run)\\.ts$|^shared/src/testing/';
const layer = (name) => `^hub/src/.*\\.${name}\\.ts$`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      // Types are erased before anything runs, so a circle that closes by a type is none.
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'hub-and-worker-never-meet',
      severity: 'error',
      from: { path: '^hub/src/', pathNot: test },
      to: { path: '^worker/' },
    },
    {
      name: 'worker-and-hub-never-meet',
      severity: 'error',
      from: { path: '^worker/src/', pathNot: test },
      to: { path: '^hub/' },
    },
    {
      name: 'shared-knows-nobody',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: '^(hub|worker|scripts)/' },
    },
    {
      name: 'packages-do-not-need-scripts',
      severity: 'error',
      from: { path: '^(hub|worker|shared)/' },
      to: { path: '^scripts/' },
    },
    {
      name: 'no-test-code-in-product-code',
      severity: 'error',
      from: { path: '^(hub|worker|shared)/src/', pathNot: `${test}|/testing/` },
      to: { path: `${test}|/testing/|node_modules/(vitest|fast-check)/` },
    },
    {
      name: 'services-know-no-routes',
      severity: 'error',
      from: { path: layer('service') },
      to: { path: layer('routes') },
    },
    {
      name: 'repositories-are-the-bottom',
      severity: 'error',
      from: { path: layer('repository') },
      to: { path: `${layer('routes')}|${layer('service')}` },
    },
  ],
  options: {
    parser: 'tsc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/dist/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
