#include "walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
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
  if (!began_) {
    began_ = true;
    struct stat stats;
    if (::fstat(chain_.current(), &stats) != 0) throw SystemError("fstat", errno);
    rootDevice_ = stats.st_dev;
    item.path.assign(1, '.');
    item.entry = entryOf(Entry::kDirectory, stats, item.path);
    stack_.push_back({"", sortedNames(chain_.current()), 0});
    return true;
  }
  if (hasPending_ && enterPending(item)) return true;
  while (!stack_.empty() && stack_.back().next == stack_.back().names.size()) {
    stack_.pop_back();
    if (!stack_.empty()) chain_.pop();
  }
  if (stack_.empty()) return false;
  Level& level = stack_.back();
  const std::string& name = level.names[level.next++];
  item.path = level.prefix + name;
  look(name, item);
  return true;
}

/** Whether there is something to tell: that it cannot be gone into. */
bool Walk::enterPending(Item& item) {
  hasPending_ = false;
  const size_t depth = chain_.depth();
  try {
    chain_.push(pendingName_);
    stack_.push_back({pendingPath_ + "/", sortedNames(chain_.current()), 0});
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
      item.entry = entryOf(Entry::kDirectory, stats, item.path);
      hasPending_ = !oneFileSystem_ || stats.st_dev == rootDevice_;
      pendingName_ = name;
      pendingPath_ = item.path;
    } else if (S_ISLNK(stats.st_mode)) {
      item.link = readLink(directory, name.c_str());
      item.entry = entryOf(Entry::kSymlink, stats, item.path);
      item.entry.hasLink = true;
      item.entry.link = item.link;
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
    if (item.hardLinkKey.empty() || countedLinks_.insert(item.hardLinkKey).second) {
      counted.bytes += static_cast<double>(item.entry.size);
    }
  }
  return counted;
}

}  // namespace xvault
