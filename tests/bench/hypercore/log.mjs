// hypercore on the task of the benchmarks. Usage, in a folder with its node_modules:
//   node log.mjs append FOLDER RECORDS COUNT   appends lines of RECORDS in batches; prints {"seconds"}
//   node log.mjs replicate FOLDER COPY COUNT   a second process serves FOLDER over TCP; this one copies it
// It does not sync each append to disk, and a block is not sealed for anybody: it does less than a node.
import { fork } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import Hypercore from 'hypercore'

const BATCH = 500

async function open (folder, key) {
  const core = new Hypercore(folder, key)
  await core.ready()
  return core
}

function join (core, isInitiator, socket) {
  const stream = core.replicate(isInitiator, { keepAlive: false })
  for (const end of [stream, socket]) end.on('error', () => {}) // the other side ends first
  stream.pipe(socket).pipe(stream)
}

async function append (folder, file, count) {
  const lines = fs.readFileSync(file).toString().trimEnd().split('\n').map((line) => Buffer.from(line))
  const core = await open(folder)
  const start = performance.now()
  for (let at = 0; at < count; at += BATCH) {
    const batch = []
    for (let i = at; i < Math.min(at + BATCH, count); i++) batch.push(lines[i % lines.length])
    await core.append(batch)
  }
  const seconds = (performance.now() - start) / 1000
  await core.close()
  return seconds
}

async function serve (folder) {
  const core = await open(folder)
  const server = net.createServer((socket) => join(core, false, socket))
  server.listen(0, '127.0.0.1', () => process.send({ key: core.key.toString('hex'), port: server.address().port }))
}

async function replicate (folder, copyFolder, count) {
  const server = fork(fileURLToPath(import.meta.url), ['serve', folder])
  const { key, port } = await new Promise((resolve) => server.once('message', resolve))
  const start = performance.now()
  const copy = await open(copyFolder, Buffer.from(key, 'hex'))
  const socket = net.connect(port, '127.0.0.1')
  join(copy, true, socket)
  await copy.update({ wait: true })
  await copy.download({ start: 0, end: copy.length }).done()
  const seconds = (performance.now() - start) / 1000
  if (copy.contiguousLength !== count) throw new Error(`${copy.contiguousLength} of ${count} blocks came`)
  server.kill()
  socket.destroy()
  await copy.close()
  return seconds
}

const [task, folder, other, count] = process.argv.slice(2)
if (task === 'serve') {
  await serve(folder)
} else {
  const seconds = await (task === 'append' ? append : replicate)(folder, other, Number(count))
  console.log(JSON.stringify({ seconds }))
  process.exit(0)
}
