#include "threads.h"

#include <fcntl.h>

#include <chrono>
#include <thread>

namespace xvault {

namespace {

constexpr const char* kClosed = "the threads are closed";
/** A job that is being done when the environment ends writes to memory that goes with it. */
constexpr auto kLongestJob = std::chrono::seconds(5);

void reject(napi_env env, napi_deferred deferred, const std::string& why) {
  napi_value message;
  napi_value error;
  napi_create_string_utf8(env, why.data(), why.size(), &message);
  napi_create_error(env, nullptr, message, &error);
  napi_reject_deferred(env, deferred, error);
}

}  // namespace

struct Threads::Task {
  std::shared_ptr<Threads> owner;
  std::unique_ptr<Job> job;
  napi_deferred deferred = nullptr;
  napi_ref pins = nullptr;
  bool hasFailed = false;
  std::string failure;
};

std::shared_ptr<Threads> Threads::start(napi_env env, uint32_t count, int rootFd, std::vector<std::string> followRoots) {
  std::shared_ptr<Threads> threads(new Threads());
  if (!followRoots.empty()) threads->follow_.emplace(std::move(followRoots));
  if (rootFd >= 0) {
    threads->root_.reset(::fcntl(rootFd, F_DUPFD_CLOEXEC, 0));
    if (!threads->root_.isOpen()) throw std::runtime_error("the root's descriptor cannot be duplicated");
  }
  napi_value name;
  napi_create_string_utf8(env, "xvault", NAPI_AUTO_LENGTH, &name);
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                             nullptr, onDone, &threads->answers_);
  if (status != napi_ok) throw std::runtime_error("no channel to JavaScript could be made");
  napi_unref_threadsafe_function(env, threads->answers_);
  // After the channel was made, so that it is called before the channel goes.
  napi_add_env_cleanup_hook(env, onEnvironmentEnd, threads.get());
  threads->kept_ = threads;
  for (uint32_t at = 0; at < count; ++at) std::thread([threads] { threads->loop(); }).detach();
  return threads;
}

napi_value Threads::submit(napi_env env, std::unique_ptr<Job> job, const std::vector<napi_value>& pins) {
  auto task = std::make_unique<Task>();
  task->owner = shared_from_this();
  task->job = std::move(job);
  napi_value promise;
  napi_create_promise(env, &task->deferred, &promise);
  const std::lock_guard lock(mutex_);
  if (closed_) {
    reject(env, task->deferred, kClosed);
    return promise;
  }
  napi_value kept;
  napi_create_array_with_length(env, pins.size(), &kept);
  for (uint32_t at = 0; at < pins.size(); ++at) napi_set_element(env, kept, at, pins[at]);
  napi_create_reference(env, kept, 1, &task->pins);
  // An idle pool must not keep a process alive; a busy one must.
  if (pending_++ == 0) napi_ref_threadsafe_function(env, answers_);
  queue_.push_back(std::move(task));
  wake_.notify_one();
  return promise;
}

void Threads::loop() {
  ThreadTools tools;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) break;
    std::unique_ptr<Task> task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    try {
      task->job->run(tools);
    } catch (const std::exception& error) {
      task->hasFailed = true;
      task->failure = error.what();
    }
    lock.lock();
    --running_;
    idle_.notify_all();
    // Never blocks: its queue has no bound, for there are never more answers than jobs.
    if (environmentLives_ && napi_call_threadsafe_function(answers_, task.get(), napi_tsfn_nonblocking) == napi_ok) {
      task.release();
    }
  }
}

void Threads::onDone(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (env == nullptr) return;
  const std::shared_ptr<Threads> owner = task->owner;
  owner->settle(env, std::move(task));
}

void Threads::settle(napi_env env, std::unique_ptr<Task> task) {
  if (--pending_ == 0) napi_unref_threadsafe_function(env, answers_);
  napi_delete_reference(env, task->pins);
  if (task->hasFailed) reject(env, task->deferred, task->failure);
  else napi_resolve_deferred(env, task->deferred, task->job->result(env));
  finishIfDone(env);
}

void Threads::finishIfDone(napi_env env) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_ || !environmentLives_ || pending_ > 0 || isFinished_) return;
    isFinished_ = true;
  }
  napi_remove_env_cleanup_hook(env, onEnvironmentEnd, this);
  napi_release_threadsafe_function(answers_, napi_tsfn_release);
  // Whoever called holds it for a moment longer.
  kept_.reset();
}

void Threads::close(napi_env env) {
  std::deque<std::unique_ptr<Task>> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    dropped.swap(queue_);
    wake_.notify_all();
  }
  for (auto& task : dropped) {
    task->hasFailed = true;
    task->failure = kClosed;
    settle(env, std::move(task));
  }
  finishIfDone(env);
}

void Threads::retire(napi_env env) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wake_.notify_all();
  }
  finishIfDone(env);
}

void Threads::onEnvironmentEnd(void* self) {
  const std::shared_ptr<Threads> threads = std::move(static_cast<Threads*>(self)->kept_);
  threads->leaveEnvironment();
}

/** Returns when no job writes to JavaScript's memory any more. */
void Threads::leaveEnvironment() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  environmentLives_ = false;
  queue_.clear();
  wake_.notify_all();
  idle_.wait_for(lock, kLongestJob, [this] { return running_ == 0; });
}

}  // namespace xvault
