-- Refuses what would not reach every form of the report, or would load or run something: raw HTML or
-- TeX, attributes that no cell of ours has, and images but those of cells.

local KNOWN = {Image = {width = true, height = true}, CodeBlock = {summary = true}}

local function refuse(el)
  if el.format:match("html") and el.text:match("^%s*<!%-%-.*%-%->%s*$") then return {} end
  error("raw " .. el.format .. " '" .. el.text:sub(1, 60) .. "' would not reach the PDF; write Markdown", 0)
end

local function check(el)
  for name in pairs(el.attributes) do
    if not (KNOWN[el.t] or {})[name] then
      error("attribute '" .. name .. "' of a " .. el.t .. "; write text from outside with `plain_text`", 0)
    end
  end
end

local function check_image(image)
  if not image.src:match("^figures/[%w_-]+%.webp$") then
    error("external image '" .. image.src .. "'; the report has to stand alone", 0)
  end
  check(image)
end

local function check_link(link)
  if not (link.target:match("^#") or link.target:match("^https?://") or link.target:match("^mailto:")) then
    error("link to '" .. link.target .. "', which is not on the web", 0)
  end
  check(link)
end

return {{
  RawBlock = refuse, RawInline = refuse, Image = check_image, Span = check, Div = check,
  Link = check_link, Code = check, CodeBlock = check, Header = check, Table = check, Figure = check,
}}
