#pragma once
#include <node_api.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "compress.h"
#include "descriptor.h"
#include "follow.h"
#include "pack.h"

namespace xvault {

/** What a thread keeps from job to job. */
struct ThreadTools {
  std::optional<Compressor> compressor;
  Segment segment;
};

/** Work for a thread, and what becomes of it in JavaScript. */
class Job {
 public:
  virtual ~Job() = default;
  /** In a thread of its own; what it throws rejects the promise. */
  virtual void run(ThreadTools& tools) = 0;
  /** In JavaScript's thread. */
  virtual napi_value result(napi_env env) = 0;
};

/**
 * Threads of one JavaScript environment that answer with promises. Idle ones do not keep the process alive; one that a system
 * call holds is left behind when they are closed.
 */
class Threads : public std::enable_shared_from_this<Threads> {
 public:
  /**
   * `rootFd`: duplicated for the jobs' use, -1 for none. Symlinks below it are followed where they lead to one of `followRoots`.
   * Throws std::runtime_error.
   */
  static std::shared_ptr<Threads> start(napi_env env, uint32_t count, int rootFd, std::vector<std::string> followRoots);
  ~Threads() = default;

  /** Valid as long as this. */
  Root root() const { return {root_.get(), follow_ ? &*follow_ : nullptr}; }
  /** `pins` are kept from the collector until the job is done. */
  napi_value submit(napi_env env, std::unique_ptr<Job> job, const std::vector<napi_value>& pins);
  /** Jobs that have not begun fail; no more are taken. */
  void close(napi_env env);
  /** Nobody can give it work any more: its threads end when they have done what they have. */
  void retire(napi_env env);

 private:
  struct Task;

  Threads() = default;
  void loop();
  void settle(napi_env env, std::unique_ptr<Task> task);
  /** When nothing is left to be answered: lets go of the environment. In JavaScript's thread. */
  void finishIfDone(napi_env env);
  void leaveEnvironment();
  static void onEnvironmentEnd(void* self);
  static void onDone(napi_env env, napi_value, void*, void* data);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::unique_ptr<Task>> queue_;
  bool closed_ = false;
  /** False when JavaScript's environment is going: nothing of it may be touched then. */
  bool environmentLives_ = true;
  uint32_t running_ = 0;
  /** Only touched in JavaScript's thread, as is what follows. */
  uint32_t pending_ = 0;
  bool isFinished_ = false;
  /** For as long as the environment's end would call. */
  std::shared_ptr<Threads> kept_;
  napi_threadsafe_function answers_ = nullptr;
  Descriptor root_;
  std::optional<Follow> follow_;
};

}  // namespace xvault
