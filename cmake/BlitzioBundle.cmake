# What the extension shows and needs of a system (docs/design/release-build.md): of its symbols its
# initialisation alone is visible, and with BLITZIO_BUNDLE what it uses of the C++ library is linked
# into it. So it runs where that library is older than the compiler's, and the pages of the rest of
# it are not mapped.
include(CheckCXXSourceCompiles)

function(blitzio_bundle target)
  set(exports ${PROJECT_SOURCE_DIR}/src/python/exports.map)
  target_link_options(${target} PRIVATE -Wl,--gc-sections -Wl,--version-script=${exports})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${exports})
  # A sanitizer's own library stands on the shared one.
  if(BLITZIO_BUNDLE STREQUAL "OFF" OR BLITZIO_SANITIZE)
    return()
  endif()
  # Some distributions package the static library apart.
  # -fPIC for a module: what CMake adds by itself is for a program, -fPIE, and would count.
  set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
  set(CMAKE_REQUIRED_FLAGS -fPIC)
  set(CMAKE_REQUIRED_LINK_OPTIONS -static-libstdc++ -shared)
  check_cxx_source_compiles(
    "#include <stdexcept>
     extern \"C\" void PyInit__native() { throw std::runtime_error(\"linked\"); }"
    BLITZIO_CAN_BUNDLE)
  if(BLITZIO_CAN_BUNDLE)
    target_link_options(${target} PRIVATE -static-libstdc++)
  elseif(BLITZIO_BUNDLE STREQUAL "ON")
    message(FATAL_ERROR "BLITZIO_BUNDLE=ON needs the static C++ library")
  else()
    message(STATUS "The static C++ library is not installed: the extension needs the shared one")
  endif()
endfunction()
