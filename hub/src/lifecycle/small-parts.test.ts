import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leaseToken } from './lease-token.ts';
import { toPgJson, toPgText } from './pg-text.ts';
import { retryDelayMs } from './retry-delay.ts';
import { isEnded, legalTransitions } from './states.ts';

describe('retryDelayMs', () => {
  const settings = { retryBaseMs: 5_000, retryMaxMs: 300_000 };

  it('doubles its ceiling with each failure, up to the limit', () => {
    const ceilings = [1, 2, 3, 7, 50].map((failures) => retryDelayMs(failures, settings, () => 0.999_999_999));
    expect(ceilings).toEqual([4_999, 9_999, 19_999, 299_999, 299_999]);
  });

  it('may be anything below it', () => {
    expect(retryDelayMs(3, settings, () => 0)).toBe(0);
    expect(retryDelayMs(3, settings, () => 0.5)).toBe(10_000);
  });
});

describe('leaseToken', () => {
  it('is the same for the same start, and another for any other', () => {
    const token = leaseToken('secret', 'run', 1, 'nonce');
    expect(leaseToken('secret', 'run', 1, 'nonce')).toBe(token);
    const others = [
      leaseToken('other', 'run', 1, 'nonce'),
      leaseToken('secret', 'ruN', 1, 'nonce'),
      leaseToken('secret', 'run', 2, 'nonce'),
      leaseToken('secret', 'run', 1, 'noncf'),
    ];
    expect(new Set([token, ...others]).size).toBe(5);
    expect(token).toMatch(/^[\w-]{43}$/);
  });
});

describe('text for PostgreSQL', () => {
  it('keeps all that can be kept', () => {
    const kept = { 'ключ "a"\\u0000': ['\u0001\n\t', '😀', '\\ud800', '\\\\u0000', 'é'] };
    expect(JSON.parse(toPgJson(kept))).toEqual(kept);
  });

  it('replaces NUL and halves of pairs, and nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('\0', '\ud800', '\udfff', ''), (text, odd) => {
        const mixed = `${odd}${text}${odd}`;
        const clean = toPgText(mixed);
        expect(clean.includes('\0')).toBe(false);
        expect(clean.isWellFormed()).toBe(true);
        expect(clean).toHaveLength(mixed.length);
        expect(JSON.parse(toPgJson({ [mixed]: mixed }))).toEqual({ [clean]: clean });
      }),
    );
  });
});

describe('the states of a run', () => {
  it('end where nothing may follow', () => {
    const ended = Object.keys(legalTransitions).filter((status) => isEnded(status as keyof typeof legalTransitions));
    expect(ended).toEqual(['success', 'warning', 'failed', 'cancelled']);
  });
});
