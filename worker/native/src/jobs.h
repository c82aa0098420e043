#pragma once
#include <memory>

#include "arguments.h"
#include "large-file.h"
#include "pipe.h"
#include "threads.h"
#include "walk.h"

namespace xvault {

/** A walk that several jobs, one after the other, go on with. */
struct SharedWalk {
  std::shared_ptr<Threads> threads;
  std::unique_ptr<Walk> walk;
};

std::unique_ptr<Job> compressJob(Arguments::View target, Arguments::View source, size_t sourceBytes, int level);
std::unique_ptr<Job> packJob(Root root, Arguments::View operations, const PackOptions& options, Arguments::View target,
                             size_t frameBytes, int level);
std::unique_ptr<Job> pieceJob(std::shared_ptr<LargeFile> file, Piece piece, Arguments::View target, size_t frameBytes,
                              int level);
/** The first `filled` bytes of `buffer` are there already. */
std::unique_ptr<Job> fillJob(std::shared_ptr<Pipe> pipe, Arguments::View buffer, size_t filled, uint64_t stallMs);
std::unique_ptr<Job> walkJob(std::shared_ptr<SharedWalk> walk);
std::unique_ptr<Job> countJob(std::shared_ptr<SharedWalk> walk);
std::unique_ptr<Job> openJob(Root root, std::string path);

}  // namespace xvault
