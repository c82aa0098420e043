#include "jobs.h"

#include <stdexcept>

#include "sparse.h"
#include "system-error.h"
#include "xattrs.h"

namespace xvault {

namespace {

constexpr uint32_t kItemsPerPage = 512;
constexpr size_t kBytesPerPage = 128 * 1024;
constexpr uint32_t kCountedPerPage = 4096;

Compressor& compressorOf(ThreadTools& tools) {
  if (!tools.compressor) tools.compressor.emplace();
  return *tools.compressor;
}

class CompressJob : public Job {
 public:
  CompressJob(Arguments::View target, Arguments::View source, size_t sourceBytes, int level)
      : target_(target), source_(source), sourceBytes_(sourceBytes), level_(level) {
    if (sourceBytes > source.size) throw std::runtime_error("more bytes than the source has");
  }
  void run(ThreadTools& tools) override {
    storedBytes_ = compressorOf(tools).frame(target_.data, target_.size, source_.data, sourceBytes_, level_);
  }
  napi_value result(napi_env env) override { return numberValue(env, static_cast<double>(storedBytes_)); }

 private:
  Arguments::View target_, source_;
  size_t sourceBytes_;
  int level_;
  size_t storedBytes_ = 0;
};

class PackJob : public Job {
 public:
  PackJob(Root root, Arguments::View operations, const PackOptions& options, Arguments::View target, size_t frameBytes,
          int level)
      : root_(root), operations_(operations), options_(options), target_(target), frameBytes_(frameBytes),
        level_(level) {}
  void run(ThreadTools& tools) override {
    tools.segment.reset(frameBytes_);
    packed_ = pack(tools.segment, RecordReader(operations_.data, operations_.size), options_, root_);
    contentBytes_ = tools.segment.used();
    if (contentBytes_ == 0) return;
    storedBytes_ = compressorOf(tools).frame(target_.data, target_.size, tools.segment.data(), contentBytes_, level_);
  }
  napi_value result(napi_env env) override {
    const auto number = [env](uint64_t value) { return numberValue(env, static_cast<double>(value)); };
    const auto bytes = [env](const RecordWriter& writer) { return bytesValue(env, writer.out.data(), writer.out.size()); };
    return objectValue(env, {
                                {"done", number(packed_.done)},
                                {"contentBytes", number(contentBytes_)},
                                {"storedBytes", number(storedBytes_)},
                                {"fileCount", number(packed_.fileCount)},
                                {"sourceBytes", number(packed_.sourceBytes)},
                                {"recordCount", number(packed_.recordCount)},
                                {"records", bytes(packed_.records)},
                                {"noteCount", number(packed_.noteCount)},
                                {"notes", bytes(packed_.notes)},
                            });
  }

 private:
  Root root_;
  Arguments::View operations_;
  PackOptions options_;
  Arguments::View target_;
  size_t frameBytes_;
  int level_;
  Packed packed_;
  size_t contentBytes_ = 0, storedBytes_ = 0;
};

class PieceJob : public Job {
 public:
  PieceJob(std::shared_ptr<LargeFile> file, Piece piece, Arguments::View target, size_t frameBytes, int level)
      : file_(std::move(file)), piece_(std::move(piece)), target_(target), frameBytes_(frameBytes), level_(level) {}
  void run(ThreadTools& tools) override {
    tools.segment.reset(frameBytes_);
    read_ = file_->read(tools.segment, piece_);
    contentBytes_ = tools.segment.used();
    storedBytes_ = compressorOf(tools).frame(target_.data, target_.size, tools.segment.data(), contentBytes_, level_);
  }
  napi_value result(napi_env env) override {
    return objectValue(env, {{"contentBytes", numberValue(env, static_cast<double>(contentBytes_))},
                             {"storedBytes", numberValue(env, static_cast<double>(storedBytes_))},
                             {"dataBytes", numberValue(env, static_cast<double>(read_.dataBytes))},
                             {"missingBytes", numberValue(env, static_cast<double>(read_.missingBytes))}});
  }

 private:
  std::shared_ptr<LargeFile> file_;
  Piece piece_;
  Arguments::View target_;
  size_t frameBytes_;
  int level_;
  LargeFile::Read read_;
  size_t contentBytes_ = 0, storedBytes_ = 0;
};

class FillJob : public Job {
 public:
  FillJob(std::shared_ptr<Pipe> pipe, Arguments::View buffer, size_t filled, uint64_t stallMs)
      : pipe_(std::move(pipe)), buffer_(buffer), filled_(filled), stallMs_(stallMs) {
    if (filled > buffer.size) throw std::runtime_error("more bytes than the buffer has");
  }
  void run(ThreadTools&) override { read_ = pipe_->fill(buffer_.data, buffer_.size, filled_, stallMs_); }
  napi_value result(napi_env env) override {
    return objectValue(env, {{"bytes", numberValue(env, static_cast<double>(read_.bytes))},
                             {"ended", booleanValue(env, read_.ended)},
                             {"stalled", booleanValue(env, read_.stalled)},
                             {"sha256", bytesValue(env, read_.digest.data(), read_.digest.size())}});
  }

 private:
  std::shared_ptr<Pipe> pipe_;
  Arguments::View buffer_;
  size_t filled_;
  uint64_t stallMs_;
  Pipe::Read read_;
};

class WalkJob : public Job {
 public:
  explicit WalkJob(std::shared_ptr<SharedWalk> walk) : walk_(std::move(walk)) {}
  void run(ThreadTools&) override { page_ = walk_->walk->next(kItemsPerPage, kBytesPerPage); }
  napi_value result(napi_env env) override {
    return objectValue(env, {{"count", numberValue(env, page_.count)},
                             {"records", bytesValue(env, page_.records.out.data(), page_.records.out.size())},
                             {"ended", booleanValue(env, page_.ended)}});
  }

 private:
  std::shared_ptr<SharedWalk> walk_;
  Walk::Page page_;
};

class CountJob : public Job {
 public:
  explicit CountJob(std::shared_ptr<SharedWalk> walk) : walk_(std::move(walk)) {}
  void run(ThreadTools&) override { count_ = walk_->walk->count(kCountedPerPage); }
  napi_value result(napi_env env) override {
    return objectValue(env, {{"fileCount", numberValue(env, count_.files)},
                             {"totalBytes", numberValue(env, count_.bytes)},
                             {"ended", booleanValue(env, count_.ended)}});
  }

 private:
  std::shared_ptr<SharedWalk> walk_;
  Walk::Count count_;
};

class OpenJob : public Job {
 public:
  OpenJob(Root root, std::string path) : root_(root), path_(std::move(path)) {}
  void run(ThreadTools&) override {
    try {
      std::optional<OpenedFile> opened = FileOpener(root_).open(path_);
      if (!opened) {
        record_.skipped(path_, "ITEM_VANISHED", "something else has taken its name");
        return;
      }
      SparseMap map;
      if (findHoles(opened->fd.get(), opened->stats, map)) describe(map, static_cast<uint64_t>(opened->stats.st_size));
      xattrs_ = readXattrs(opened->fd.get());
      record_.item(entryOf(Entry::kFile, opened->stats, path_));
      fd_ = std::move(opened->fd);
    } catch (const SystemError& error) {
      error.throwIfShortage();
      record_.skipped(path_, error.itemCode(), error.what());
    }
  }
  napi_value result(napi_env env) override {
    std::vector<Field> fields{{"record", bytesValue(env, record_.out.data(), record_.out.size())}};
    if (isSparse_) {
      fields.push_back({"map", bytesValue(env, map_.data(), map_.size())});
      fields.push_back({"extents", bytesValue(env, extents_.out.data(), extents_.out.size())});
    }
    if (xattrs_.count > 0) {
      fields.push_back({"xattrs", bytesValue(env, xattrs_.packed.data(), xattrs_.packed.size())});
      fields.push_back({"xattrCount", numberValue(env, xattrs_.count)});
    }
    if (!xattrs_.isComplete()) {
      const std::string lack = xattrs_.lack();
      fields.push_back({"xattrsLack", bytesValue(env, lack.data(), lack.size())});
    }
    if (fd_.isOpen()) fields.push_back({"fd", numberValue(env, fd_.release())});
    return objectValue(env, fields);
  }

 private:
  void describe(const SparseMap& map, uint64_t realSize) {
    isSparse_ = true;
    map_ = map.text(realSize);
    for (const Extent& extent : map.extents) {
      extents_.f64(static_cast<double>(extent.offset));
      extents_.f64(static_cast<double>(extent.length));
    }
  }

  Root root_;
  std::string path_;
  RecordWriter record_;
  bool isSparse_ = false;
  std::string map_;
  RecordWriter extents_;
  Xattrs xattrs_;
  Descriptor fd_;
};

}  // namespace

std::unique_ptr<Job> compressJob(Arguments::View target, Arguments::View source, size_t sourceBytes, int level) {
  return std::make_unique<CompressJob>(target, source, sourceBytes, level);
}

std::unique_ptr<Job> packJob(Root root, Arguments::View operations, const PackOptions& options, Arguments::View target,
                             size_t frameBytes, int level) {
  return std::make_unique<PackJob>(root, operations, options, target, frameBytes, level);
}

std::unique_ptr<Job> pieceJob(std::shared_ptr<LargeFile> file, Piece piece, Arguments::View target, size_t frameBytes,
                              int level) {
  return std::make_unique<PieceJob>(std::move(file), std::move(piece), target, frameBytes, level);
}

std::unique_ptr<Job> fillJob(std::shared_ptr<Pipe> pipe, Arguments::View buffer, size_t filled, uint64_t stallMs) {
  return std::make_unique<FillJob>(std::move(pipe), buffer, filled, stallMs);
}

std::unique_ptr<Job> walkJob(std::shared_ptr<SharedWalk> walk) { return std::make_unique<WalkJob>(std::move(walk)); }

std::unique_ptr<Job> countJob(std::shared_ptr<SharedWalk> walk) { return std::make_unique<CountJob>(std::move(walk)); }

std::unique_ptr<Job> openJob(Root root, std::string path) {
  return std::make_unique<OpenJob>(root, std::move(path));
}

}  // namespace xvault
