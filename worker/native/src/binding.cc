#include <node_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "arguments.h"
#include "index-line.h"
#include "jobs.h"
#include "seal.h"
#include "tar-header.h"
#include "threads.h"

namespace xvault {
namespace {

/** Of every disk that there is. */
constexpr size_t kDirectBlock = 4096;

constexpr napi_type_tag kThreadsTag = {0x6b1d5f0c3a7e4a52, 0x9c1f0e6d2b8a4731};
constexpr napi_type_tag kWalkTag = {0x2f8e9a4b7c6d4e15, 0xa3b5c7d9e1f20846};

constexpr napi_type_tag kFileTag = {0x71c3e5a79b2d4f60, 0x8d1e3f5a7b9c0d24};
constexpr napi_type_tag kPipeTag = {0x4b6d8fa1c3e5f708, 0xb29c7d5e3f1a0c86};

using SharedThreads = std::shared_ptr<Threads>;
using WalkHandle = std::shared_ptr<SharedWalk>;
using FileHandle = std::shared_ptr<LargeFile>;
using PipeHandle = std::shared_ptr<Pipe>;

std::string_view textOf(const Arguments::View& view) { return {reinterpret_cast<const char*>(view.data), view.size}; }

/** Strings with their lengths before them. */
std::vector<std::string> stringsOf(const Arguments::View& view) {
  std::vector<std::string> strings;
  RecordReader reader(view.data, view.size);
  for (size_t at = 0; at < view.size; at += sizeof(uint32_t) + strings.back().size()) strings.emplace_back(reader.bytes());
  return strings;
}

/** (count, rootFd or -1, roots that symlinks may lead to) → handle */
napi_value startThreads(napi_env env, const Arguments& args) {
  SharedThreads threads = Threads::start(env, static_cast<uint32_t>(args.number(0)), static_cast<int>(args.number(1)),
                                         stringsOf(args.bytes(2)));
  const auto retire = [](napi_env environment, SharedThreads& held) { held->retire(environment); };
  return external(env, std::move(threads), kThreadsTag, retire);
}

/** (threads) */
napi_value closeThreads(napi_env env, const Arguments& args) {
  args.held<SharedThreads>(0, kThreadsTag)->close(env);
  return nullptr;
}

/** (threads, target, source, sourceBytes, level) → stored bytes */
napi_value compress(napi_env env, const Arguments& args) {
  auto job = compressJob(args.bytes(1), args.bytes(2), static_cast<size_t>(args.number(3)), static_cast<int>(args.number(4)));
  return args.held<SharedThreads>(0, kThreadsTag)->submit(env, std::move(job), {args.value(1), args.value(2)});
}

/** (threads, operations, count, from, mostFileBytes, target, frameBytes, level) → Packed */
napi_value packFrame(napi_env env, const Arguments& args) {
  const SharedThreads& threads = args.held<SharedThreads>(0, kThreadsTag);
  const PackOptions options{static_cast<uint32_t>(args.number(2)), static_cast<uint32_t>(args.number(3)),
                            static_cast<uint64_t>(args.number(4))};
  auto job = packJob(threads->root(), args.bytes(1), options, args.bytes(5), static_cast<size_t>(args.number(6)),
                     static_cast<int>(args.number(7)));
  return threads->submit(env, std::move(job), {args.value(1), args.value(5)});
}

/** Records of a kind (1: a path, else a name), whether directories alone are meant, and the bytes. */
Exclusions exclusionsOf(const Arguments::View& view) {
  Exclusions exclusions;
  RecordReader reader(view.data, view.size);
  for (size_t at = 0; at < view.size;) {
    const bool isPath = reader.u8() != 0;
    const bool isOfDirectories = reader.u8() != 0;
    const std::string_view text = reader.bytes();
    at += 2 + sizeof(uint32_t) + text.size();
    (isPath ? exclusions.paths : exclusions.names).insert_or_assign(std::string(text), isOfDirectories);
  }
  return exclusions;
}

/** (threads, oneFileSystem, exclusions) → handle */
napi_value startWalk(napi_env env, const Arguments& args) {
  auto walk = std::make_shared<SharedWalk>();
  walk->threads = args.held<SharedThreads>(0, kThreadsTag);
  walk->walk = std::make_unique<Walk>(walk->threads->root(), args.boolean(1), exclusionsOf(args.bytes(2)));
  return external(env, WalkHandle(std::move(walk)), kWalkTag);
}

/** (walk, path of a directory that need not be gone into; where it was already, it is left) */
napi_value skipDirectory(napi_env, const Arguments& args) {
  args.held<WalkHandle>(0, kWalkTag)->walk->skip(std::string(textOf(args.bytes(1))));
  return nullptr;
}

/** (walk) → page; one call at a time */
napi_value walkItems(napi_env env, const Arguments& args) {
  const WalkHandle& walk = args.held<WalkHandle>(0, kWalkTag);
  return walk->threads->submit(env, walkJob(walk), {});
}

/** (walk) → counts of some more; one call at a time */
napi_value walkCount(napi_env env, const Arguments& args) {
  const WalkHandle& walk = args.held<WalkHandle>(0, kWalkTag);
  return walk->threads->submit(env, countJob(walk), {});
}

/** (threads, path) → { record, fd?, map?, extents? } */
napi_value openFile(napi_env env, const Arguments& args) {
  const SharedThreads& threads = args.held<SharedThreads>(0, kThreadsTag);
  const Arguments::View path = args.bytes(1);
  return threads->submit(env, openJob(threads->root(), std::string(textOf(path))), {});
}

/** (fd, which is duplicated) → handle */
napi_value startFile(napi_env env, const Arguments& args) {
  return external(env, FileHandle(std::make_shared<LargeFile>(static_cast<int>(args.number(0)))), kFileTag);
}

const FileHandle& openHandle(const Arguments& args, size_t at) {
  const FileHandle& file = args.held<FileHandle>(at, kFileTag);
  if (!file) throw std::runtime_error("the file is closed");
  return file;
}

/** (file): its descriptor is closed as soon as no job reads it */
napi_value closeFile(napi_env, const Arguments& args) {
  args.held<FileHandle>(0, kFileTag).reset();
  return nullptr;
}

/** (threads, file, number, isLast, prefix, hashedFrom, extents, target, frameBytes, level) → { contentBytes, … } */
napi_value packPiece(napi_env env, const Arguments& args) {
  const Arguments::View prefix = args.bytes(4);
  const Arguments::View extents = args.bytes(6);
  Piece piece{static_cast<uint32_t>(args.number(2)), args.boolean(3),
              std::string(reinterpret_cast<char*>(prefix.data), prefix.size), static_cast<size_t>(args.number(5)), {}};
  if (piece.hashedFrom > piece.prefix.size()) throw std::runtime_error("hashing begins after the prefix");
  RecordReader pairs(extents.data, extents.size);
  for (size_t at = 0; at < extents.size; at += 16) {
    const auto offset = static_cast<uint64_t>(pairs.f64());
    piece.extents.push_back({offset, static_cast<uint64_t>(pairs.f64())});
  }
  auto job = pieceJob(openHandle(args, 1), std::move(piece), args.bytes(7),
                      static_cast<size_t>(args.number(8)), static_cast<int>(args.number(9)));
  return args.held<SharedThreads>(0, kThreadsTag)->submit(env, std::move(job), {args.value(7)});
}

/** (file) → SHA-256 of all its pieces; once */
napi_value digestFile(napi_env env, const Arguments& args) {
  const std::string digest = openHandle(args, 0)->digest();
  return bytesValue(env, digest.data(), digest.size());
}

/** () → { pipe, writeFd, which the caller closes } */
napi_value startPipe(napi_env env, const Arguments&) {
  auto pipe = std::make_shared<Pipe>();
  const int writeFd = pipe->releaseWriteEnd();
  return objectValue(env, {{"pipe", external(env, PipeHandle(std::move(pipe)), kPipeTag)},
                           {"writeFd", numberValue(env, writeFd)}});
}

/** (threads, pipe, buffer, filled, stallMs) → { bytes, ended, stalled, sha256 }; one call at a time */
napi_value fillFromPipe(napi_env env, const Arguments& args) {
  const PipeHandle& pipe = args.held<PipeHandle>(1, kPipeTag);
  if (!pipe) throw std::runtime_error("the pipe is closed");
  auto job = fillJob(pipe, args.bytes(2), static_cast<size_t>(args.number(3)), static_cast<uint64_t>(args.number(4)));
  return args.held<SharedThreads>(0, kThreadsTag)->submit(env, std::move(job), {args.value(2)});
}

/** (pipe): its end is closed as soon as no job reads it */
napi_value closePipe(napi_env, const Arguments& args) {
  PipeHandle& pipe = args.held<PipeHandle>(0, kPipeTag);
  if (pipe) pipe->close();
  pipe.reset();
  return nullptr;
}

/** (item, storedBytes of a sparse file or -1, packed extended attributes) → header blocks */
napi_value encodeTarHeader(napi_env env, const Arguments& args) {
  const Arguments::View record = args.bytes(0);
  const double stored = args.number(1);
  const auto storedBytes = static_cast<uint64_t>(std::max(stored, 0.0));
  const std::string header = tarHeader(RecordReader(record.data, record.size).item(),
                                       stored < 0 ? nullptr : &storedBytes, textOf(args.bytes(2)));
  return bytesValue(env, header.data(), header.size());
}

/** (items with places, count, base of the offsets) → lines */
napi_value encodeIndexLines(napi_env env, const Arguments& args) {
  const Arguments::View records = args.bytes(0);
  RecordReader reader(records.data, records.size);
  const auto count = static_cast<uint32_t>(args.number(1));
  const auto base = static_cast<uint64_t>(args.number(2));
  std::string lines;
  for (uint32_t at = 0; at < count; ++at) {
    const Entry entry = reader.item();
    const Place place = reader.place();
    addIndexLine(lines, entry, place, base);
  }
  return bytesValue(env, lines.data(), lines.size());
}

/** (target, source, key, number of the first chunk, whether the last one ends the file) → bytes in target */
napi_value seal(napi_env env, const Arguments& args) {
  const Arguments::View target = args.bytes(0);
  const Arguments::View source = args.bytes(1);
  const Arguments::View key = args.bytes(2);
  if (key.size != 32) throw std::runtime_error("a key has 32 bytes");
  const size_t sealed = sealChunks(target.data, target.size, source.data, source.size, key.data,
                                   static_cast<uint64_t>(args.number(3)), args.boolean(4));
  return numberValue(env, static_cast<double>(sealed));
}

/** (bytes) → zeroed memory that begins at a block's border, as direct writes want it */
napi_value alignedBuffer(napi_env env, const Arguments& args) {
  const auto size = static_cast<size_t>(args.number(0));
  void* data = std::aligned_alloc(kDirectBlock, (size + kDirectBlock - 1) / kDirectBlock * kDirectBlock);
  if (data == nullptr) throw std::bad_alloc();
  std::memset(data, 0, size);
  napi_value buffer;
  const auto release = [](napi_env, void* memory, void*) { std::free(memory); };
  if (napi_create_external_buffer(env, size, data, release, nullptr, &buffer) != napi_ok) {
    std::free(data);
    throw std::runtime_error("no buffer could be made");
  }
  return buffer;
}

/** (bytes of content) → most bytes that a frame of it takes */
napi_value compressBound(napi_env env, const Arguments& args) {
  return numberValue(env, static_cast<double>(ZSTD_compressBound(static_cast<size_t>(args.number(0)))));
}

template <napi_value (*function)(napi_env, const Arguments&)>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return function(env, Arguments(env, info));
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
    return nullptr;
  }
}

template <napi_value (*function)(napi_env, const Arguments&)>
void add(napi_env env, napi_value exports, const char* name) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, guarded<function>, nullptr, &value);
  napi_set_named_property(env, exports, name, value);
}

}  // namespace
}  // namespace xvault

NAPI_MODULE_INIT() {
  using namespace xvault;
  add<startThreads>(env, exports, "startThreads");
  add<closeThreads>(env, exports, "closeThreads");
  add<compress>(env, exports, "compress");
  add<packFrame>(env, exports, "packFrame");
  add<startWalk>(env, exports, "startWalk");
  add<skipDirectory>(env, exports, "skipDirectory");
  add<walkItems>(env, exports, "walkItems");
  add<walkCount>(env, exports, "walkCount");
  add<openFile>(env, exports, "openFile");
  add<startFile>(env, exports, "startFile");
  add<packPiece>(env, exports, "packPiece");
  add<closeFile>(env, exports, "closeFile");
  add<digestFile>(env, exports, "digestFile");
  add<startPipe>(env, exports, "startPipe");
  add<fillFromPipe>(env, exports, "fillFromPipe");
  add<closePipe>(env, exports, "closePipe");
  add<encodeTarHeader>(env, exports, "encodeTarHeader");
  add<encodeIndexLines>(env, exports, "encodeIndexLines");
  add<seal>(env, exports, "seal");
  add<alignedBuffer>(env, exports, "alignedBuffer");
  add<compressBound>(env, exports, "compressBound");
  return exports;
}
