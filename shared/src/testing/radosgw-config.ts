import { randomBytes } from 'node:crypto';

export interface RadosgwPlaces {
  readonly dir: string;
  readonly monitorPort: number;
  readonly gatewayPort: number;
  readonly fsid: string;
}

const memoryBytes = 4 * 1024 ** 3;

/** A cluster of one node on loopback, without replicas. `diskBytes` null keeps the objects in memory. */
export function cephConfig({ dir, monitorPort, gatewayPort, fsid }: RadosgwPlaces, diskBytes: number | null): string {
  const store =
    diskBytes === null
      ? ['osd objectstore = memstore', `memstore device bytes = ${memoryBytes}`]
      : [
          'osd objectstore = bluestore',
          `bluestore block size = ${diskBytes}`,
          'bluestore block create = true',
          'bluestore cache size = 268435456',
          'bluestore throttle bytes = 67108864',
        ];
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitorPort}]
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${dir}/keyring
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = ${dir}/run
admin socket =
log file =
log to stderr = true
debug none = 0/0
crash dir = ${dir}/run
[mon.a]
mon data = ${dir}/mon/data
mon cluster log file =
[osd.0]
osd data = ${dir}/osd
${store.join('\n')}
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort}
rgw data = ${dir}/rgw
rgw thread pool size = 64
rgw relaxed s3 bucket names = true
rgw gc obj min wait = 30
rgw gc processor period = 30
rgw user quota bucket sync interval = 1
rgw bucket quota ttl = 1
`;
}

/** Keys and rights of the cluster's own parts, made by hand: the tool for it takes a process each. */
export function cephKeyring(): string {
  const all = '\tcaps mon = "allow *"\n\tcaps osd = "allow *"\n\tcaps mgr = "allow *"\n';
  return ['mon.', 'client.admin', 'osd.0', 'client.rgw.a']
    .map((name) => `[${name}]\n\tkey = ${cephKey()}\n${all}`)
    .join('');
}

/** Type (1 is AES), time of making, length, 16 random bytes. */
function cephKey(): string {
  const head = Buffer.alloc(12);
  head.writeUInt16LE(1, 0);
  head.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  head.writeUInt16LE(16, 10);
  return Buffer.concat([head, randomBytes(16)]).toString('base64');
}
