#pragma once
#include <node_api.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace xvault {

/** The arguments of a call from JavaScript. Throws std::runtime_error for one of another type. */
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kMost;
    check(napi_get_cb_info(env, info, &count, values_, nullptr, nullptr), "arguments");
  }

  napi_value value(size_t at) const { return values_[at]; }

  double number(size_t at) const {
    double value;
    check(napi_get_value_double(env_, values_[at], &value), "a number");
    return value;
  }

  bool boolean(size_t at) const {
    bool value;
    check(napi_get_value_bool(env_, values_[at], &value), "a boolean");
    return value;
  }

  struct View {
    uint8_t* data;
    size_t size;
  };

  View bytes(size_t at) const {
    napi_typedarray_type type;
    View view{};
    void* data = nullptr;
    check(napi_get_typedarray_info(env_, values_[at], &type, &view.size, &data, nullptr, nullptr), "bytes");
    if (type != napi_uint8_array) throw std::runtime_error("an argument is not bytes");
    view.data = static_cast<uint8_t*>(data);
    return view;
  }

  /** What {@link external} made. */
  template <typename T>
  T& held(size_t at, const napi_type_tag& tag) const {
    bool fits = false;
    void* data = nullptr;
    check(napi_check_object_type_tag(env_, values_[at], &tag, &fits), "a handle");
    if (!fits) throw std::runtime_error("an argument is another handle");
    check(napi_get_value_external(env_, values_[at], &data), "a handle");
    return *static_cast<T*>(data);
  }

 private:
  static constexpr size_t kMost = 10;

  static void check(napi_status status, const char* what) {
    if (status != napi_ok) throw std::runtime_error(std::string("an argument is not ") + what);
  }

  napi_env env_;
  napi_value values_[kMost] = {};
};

/** A handle that owns `value`; `release` is called when the collector has found that nobody has it. */
template <typename T, typename Release>
napi_value external(napi_env env, T value, const napi_type_tag& tag, Release) {
  const auto finalize = [](napi_env environment, void* data, void*) {
    const std::unique_ptr<T> held(static_cast<T*>(data));
    Release()(environment, *held);
  };
  napi_value handle;
  napi_create_external(env, new T(std::move(value)), finalize, nullptr, &handle);
  napi_type_tag_object(env, handle, &tag);
  return handle;
}

template <typename T>
napi_value external(napi_env env, T value, const napi_type_tag& tag) {
  return external(env, std::move(value), tag, [](napi_env, T&) {});
}

inline napi_value numberValue(napi_env env, double value) {
  napi_value number;
  napi_create_double(env, value, &number);
  return number;
}

inline napi_value bytesValue(napi_env env, const void* data, size_t size) {
  napi_value buffer;
  napi_create_buffer_copy(env, size, data, nullptr, &buffer);
  return buffer;
}

inline napi_value booleanValue(napi_env env, bool value) {
  napi_value boolean;
  napi_get_boolean(env, value, &boolean);
  return boolean;
}

struct Field {
  const char* name;
  napi_value value;
};

inline napi_value objectValue(napi_env env, const std::vector<Field>& fields) {
  napi_value object;
  napi_create_object(env, &object);
  for (const Field& field : fields) napi_set_named_property(env, object, field.name, field.value);
  return object;
}

}  // namespace xvault
