#include "walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "open-file.h"
#include "system-error.h"

namespace xvault {

namespace {

std::vector<std::string> sortedNames(int directory) {
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw SystemError("open", errno);
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
  if (!stream) {
    const int code = errno;
    ::close(fd);
    throw SystemError("scandir", code);
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* found = ::readdir(stream.get());
    if (found == nullptr) break;
    const std::string_view name = found->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw SystemError("scandir", errno);
  std::sort(names.begin(), names.end());
  return names;
}

std::string readLink(int directory, const char* name) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t length = ::readlinkat(directory, name, target.data(), target.size());
    if (length < 0) throw SystemError("readlink", errno);
    if (static_cast<size_t>(length) < target.size()) {
      target.resize(static_cast<size_t>(length));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

}  // namespace

bool Walk::step(Item& item) {
  item = Item();
  if (remark_) {
    item = std::move(*remark_);
    remark_.reset();
    return true;
  }
  if (!began_) {
    began_ = true;
    struct stat stats;
    if (::fstat(chain_.current(), &stats) != 0) throw SystemError("fstat", errno);
    rootDevice_ = stats.st_dev;
    item.path.assign(1, '.');
    item.entry = entryOf(Entry::kDirectory, stats, item.path);
    stack_.push_back({"", sortedNames(chain_.current()), 0, stats.st_dev, stats.st_ino});
    return true;
  }
  if (hasSkips_.load(std::memory_order_relaxed)) leaveSkipped();
  if (hasPending_ && enterPending(item)) return true;
  for (;;) {
    while (!stack_.empty() && stack_.back().next == stack_.back().names.size()) {
      stack_.pop_back();
      if (!stack_.empty()) chain_.pop();
    }
    if (stack_.empty()) return false;
    Level& level = stack_.back();
    const std::string& name = level.names[level.next++];
    item.path = level.prefix + name;
    if (isExcluded(name, item.path, false)) continue;
    look(name, item);
    const bool isDirectory = !item.isSkipped && item.entry.type == Entry::kDirectory;
    if (!isDirectory || !isExcluded(name, item.path, true)) return true;
    hasPending_ = false;
    remark_.reset();
    item = Item();
  }
}

bool Walk::isExcluded(const std::string& name, const std::string& path, bool isDirectory) const {
  const auto isIn = [isDirectory](const auto& some, const std::string& text) {
    const auto found = some.find(text);
    return found != some.end() && (isDirectory || !found->second);
  };
  return isIn(exclusions_.names, name) || isIn(exclusions_.paths, path);
}

void Walk::skip(std::string path) {
  const std::lock_guard lock(skipMutex_);
  skips_.push_back(std::move(path));
  hasSkips_ = true;
}

void Walk::leaveSkipped() {
  std::vector<std::string> paths;
  {
    const std::lock_guard lock(skipMutex_);
    paths.swap(skips_);
    hasSkips_ = false;
  }
  for (const std::string& path : paths) leave(path);
}

void Walk::leave(const std::string& path) {
  if (hasPending_ && pendingPath_ == path) hasPending_ = false;
  const std::string prefix = path + "/";
  const auto level = std::find_if(stack_.begin(), stack_.end(), [&](const Level& at) { return at.prefix == prefix; });
  if (level == stack_.end()) return;
  for (auto left = stack_.end() - level; left > 0; --left) {
    stack_.pop_back();
    chain_.pop();
  }
  hasPending_ = false;
}

/** Whether there is something to tell: that it cannot be gone into. */
bool Walk::enterPending(Item& item) {
  hasPending_ = false;
  const size_t depth = chain_.depth();
  try {
    chain_.push(pendingName_);
    stack_.push_back({pendingPath_ + "/", sortedNames(chain_.current()), 0, pendingDevice_, pendingInode_});
    return false;
  } catch (const SystemError& error) {
    while (chain_.depth() > depth) chain_.pop();
    error.throwIfShortage();
    item.isSkipped = true;
    item.path = pendingPath_;
    item.code = error.itemCode();
    item.detail = error.what();
    return true;
  }
}

void Walk::look(const std::string& name, Item& item) {
  try {
    const int directory = chain_.current();
    struct stat stats;
    if (::fstatat(directory, name.c_str(), &stats, AT_SYMLINK_NOFOLLOW) != 0) throw SystemError("lstat", errno);
    if (S_ISREG(stats.st_mode)) {
      item.entry = entryOf(Entry::kFile, stats, item.path);
      if (stats.st_nlink > 1) item.hardLinkKey = std::to_string(stats.st_dev) + ":" + std::to_string(stats.st_ino);
    } else if (S_ISDIR(stats.st_mode)) {
      lookAtDirectory(name, stats, item);
    } else if (S_ISLNK(stats.st_mode)) {
      item.link = readLink(directory, name.c_str());
      item.entry = entryOf(Entry::kSymlink, stats, item.path);
      item.entry.hasLink = true;
      item.entry.link = item.link;
      if (follow_ != nullptr) followLink(name, item);
    } else {
      item.isSkipped = true;
      item.code = "ITEM_UNSUPPORTED";
      item.detail = "a socket, pipe or device";
    }
  } catch (const SystemError& error) {
    error.throwIfShortage();
    item.isSkipped = true;
    item.code = error.itemCode();
    item.detail = error.what();
  }
}

void Walk::lookAtDirectory(const std::string& name, const struct stat& stats, Item& item) {
  item.entry = entryOf(Entry::kDirectory, stats, item.path);
  hasPending_ = !oneFileSystem_ || stats.st_dev == rootDevice_;
  pendingName_ = name;
  pendingPath_ = item.path;
  pendingDevice_ = stats.st_dev;
  pendingInode_ = stats.st_ino;
  if (follow_ == nullptr || !isAbove(stats)) return;
  hasPending_ = false;
  remark(item, "a directory that it is in itself");
}

/** Puts what a symlink leads to in its place, or leaves it as it is and says why. */
void Walk::followLink(const std::string& name, Item& item) {
  try {
    const Descriptor found = Follow::find(chain_.current(), name.c_str());
    struct stat stats;
    if (!follow_->allows(found)) return remark(item, "it leads out of what may be backed up");
    if (::fstat(found.get(), &stats) != 0) throw SystemError("fstat", errno);
    if (S_ISREG(stats.st_mode)) {
      item.entry = entryOf(Entry::kFile, stats, item.path);
      if (stats.st_nlink > 1) item.hardLinkKey = std::to_string(stats.st_dev) + ":" + std::to_string(stats.st_ino);
    } else if (!S_ISDIR(stats.st_mode)) {
      remark(item, "it leads to no file or directory");
    } else if (isAbove(stats)) {
      remark(item, "it leads to a directory that it is in");
    } else {
      lookAtDirectory(name, stats, item);
    }
  } catch (const SystemError& error) {
    error.throwIfShortage();
    remark(item, error.what());
  }
}

void Walk::remark(const Item& item, const char* detail) {
  remark_.emplace();
  remark_->isSkipped = true;
  remark_->path = item.path;
  remark_->code = "ITEM_LINK_NOT_FOLLOWED";
  remark_->detail = detail;
}

/** Whether it is one of the directories that the walk is in. */
bool Walk::isAbove(const struct stat& stats) const {
  return std::any_of(stack_.begin(), stack_.end(), [&stats](const Level& level) {
    return level.device == stats.st_dev && level.inode == stats.st_ino;
  });
}

Walk::Page Walk::next(uint32_t mostItems, size_t mostBytes) {
  Page page;
  Item item;
  while (page.count < mostItems && page.records.out.size() < mostBytes) {
    if (!step(item)) {
      page.ended = true;
      break;
    }
    if (item.isSkipped) page.records.skipped(item.path, item.code, item.detail);
    else page.records.item(item.entry, item.hardLinkKey);
    ++page.count;
  }
  return page;
}

Walk::Count Walk::count(uint32_t mostItems) {
  Count counted;
  Item item;
  for (uint32_t looked = 0; looked < mostItems; ++looked) {
    if (!step(item)) {
      counted.ended = true;
      break;
    }
    if (item.isSkipped || item.entry.type != Entry::kFile) continue;
    counted.files += 1;
    if (item.hardLinkKey.empty() || countedLinks_.insert(std::hash<std::string>()(item.hardLinkKey))) {
      counted.bytes += static_cast<double>(item.entry.size);
    }
  }
  return counted;
}

}  // namespace xvault
