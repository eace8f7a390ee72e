use super::*;
use crate::numeric::{self, Decoded};

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A reader by the comments in jsonb.h, independent of the writer: JSON text of a container.
fn container(bytes: &[u8], at: usize) -> String {
    assert_eq!(at % 4, 0, "containers are aligned");
    let header = word(bytes, at);
    let count = (header & 0x0fff_ffff) as usize;
    let object = header & OBJECT != 0;
    assert_ne!(object, header & ARRAY != 0);
    let entries = if object { 2 * count } else { count };
    let data = at + 4 + 4 * entries;
    let entry = |i: usize| word(bytes, at + 4 + 4 * i);
    // getJsonbOffset
    let offset = |index: usize| {
        let mut offset = 0;
        for i in (0..index).rev() {
            offset += (entry(i) & 0x0fff_ffff) as usize;
            if entry(i) & HAS_OFFSET != 0 {
                break;
            }
        }
        offset
    };
    // getJsonbLength
    let length = |index: usize| {
        let len = (entry(index) & 0x0fff_ffff) as usize;
        if entry(index) & HAS_OFFSET != 0 { len - offset(index) } else { len }
    };
    let value = |i: usize| {
        let (start, len) = (data + offset(i), length(i));
        let aligned = start.next_multiple_of(4);
        match entry(i) & 0x7000_0000 {
            IS_STRING => format!("{:?}", std::str::from_utf8(&bytes[start..start + len]).unwrap()),
            IS_NUMERIC => {
                let total = (word(bytes, aligned) >> 2) as usize;
                assert_eq!(aligned + total, start + len);
                match numeric::decode(&bytes[aligned + 4..aligned + total]) {
                    Some(Decoded::Finite(parts)) => numeric::decimal_text(
                        parts.unscaled(u8::try_from(parts.scale).unwrap()).unwrap(),
                        u8::try_from(parts.scale).unwrap(),
                    ),
                    other => panic!("{other:?}"),
                }
            }
            IS_FALSE => "false".into(),
            IS_TRUE => "true".into(),
            IS_NULL => "null".into(),
            IS_CONTAINER => container(bytes, aligned),
            other => panic!("entry type {other:x}"),
        }
    };
    if header & SCALAR != 0 {
        assert_eq!(count, 1);
        return value(0);
    }
    let parts: Vec<String> = (0..count)
        .map(|i| if object { format!("{}:{}", value(i), value(count + i)) } else { value(i) })
        .collect();
    if object { format!("{{{}}}", parts.join(",")) } else { format!("[{}]", parts.join(",")) }
}

fn read(jsonb: &[u8]) -> String {
    assert_eq!(word(jsonb, 0) as usize, jsonb.len() << 2);
    container(jsonb, 4)
}

fn number(writer: &mut Writer, value: i64, scale: u8, outer: &mut Container) {
    let mut payload = [0; numeric::MAX_PAYLOAD];
    let len = numeric::write_i64(value, scale, &mut payload);
    writer.numeric(&payload[..len], outer).unwrap();
}

#[test]
fn scalars_stand_alone() {
    let mut writer = Writer::default();
    let mut root = writer.begin();
    writer.string("🦆".as_bytes(), &mut root).unwrap();
    assert_eq!(read(writer.finish(root).unwrap()), "\"🦆\"");
    let mut root = writer.begin();
    number(&mut writer, -5, 2, &mut root);
    assert_eq!(read(writer.finish(root).unwrap()), "-0.05");
    let mut root = writer.begin();
    writer.null(&mut root).unwrap();
    assert_eq!(read(writer.finish(root).unwrap()), "null");
}

#[test]
fn a_number_has_the_bytes_of_postgresql() {
    let mut writer = Writer::default();
    let mut root = writer.begin();
    let mut array = writer.begin_array(2).unwrap();
    number(&mut writer, 1, 0, &mut array);
    writer.boolean(true, &mut array).unwrap();
    writer.end(array, &mut root).unwrap();
    let expected: [u32; 6] = [
        24 << 2,
        0x4000_0002,
        0x9000_0008,
        0x3000_0000,
        8 << 2,
        // Numeric 1: the short header, and one digit.
        0x0001_8000,
    ];
    let expected: Vec<u8> = expected.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(writer.finish(root).unwrap(), expected);
}

#[test]
fn nested_containers_of_every_size_are_read_back() {
    let mut writer = Writer::default();
    for size in [0usize, 1, 2, 31, 32, 33, 63, 64, 65, 200] {
        let mut keys: Vec<String> = (0..size).map(|i| "k".repeat(i % 5) + &i.to_string()).collect();
        keys.sort_by(|a, b| key_order(a.as_bytes(), b.as_bytes()));
        let mut root = writer.begin();
        let mut object = writer.begin_object(keys.iter().map(String::as_bytes)).unwrap();
        let mut expected = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let text = match i % 4 {
                0 => {
                    writer.string(key.as_bytes(), &mut object).unwrap();
                    format!("{key:?}")
                }
                1 => {
                    number(&mut writer, i64::try_from(i).unwrap(), 1, &mut object);
                    numeric::decimal_text(i128::try_from(i).unwrap(), 1)
                }
                2 => {
                    let mut array = writer.begin_array(i).unwrap();
                    for n in 0..i {
                        if n % 2 == 0 {
                            number(&mut writer, 7, 0, &mut array);
                        } else {
                            writer.string(b"x", &mut array).unwrap();
                        }
                    }
                    writer.end(array, &mut object).unwrap();
                    let elements: Vec<_> =
                        (0..i).map(|n| if n % 2 == 0 { "7" } else { "\"x\"" }).collect();
                    format!("[{}]", elements.join(","))
                }
                _ => {
                    writer.null(&mut object).unwrap();
                    "null".into()
                }
            };
            expected.push(format!("{key:?}:{text}"));
        }
        writer.end(object, &mut root).unwrap();
        let bytes = writer.finish(root).unwrap();
        assert_eq!(read(bytes), format!("{{{}}}", expected.join(",")), "{size} keys");
    }
}

#[test]
fn foreign_values_are_embedded() {
    let mut other = Writer::default();
    let mut root = other.begin();
    let mut array = other.begin_array(1).unwrap();
    other.string(b"abc", &mut array).unwrap();
    other.end(array, &mut root).unwrap();
    let container_value = other.finish(root).unwrap()[4..].to_vec();
    let mut root = other.begin();
    number(&mut other, 42, 0, &mut root);
    let scalar_value = other.finish(root).unwrap()[4..].to_vec();

    let mut writer = Writer::default();
    let mut root = writer.begin();
    let mut array = writer.begin_array(4).unwrap();
    writer.string(b"q", &mut array).unwrap();
    writer.raw(&container_value, &mut array).unwrap().unwrap();
    writer.string(b"r", &mut array).unwrap();
    writer.raw(&scalar_value, &mut array).unwrap().unwrap();
    writer.end(array, &mut root).unwrap();
    assert_eq!(read(writer.finish(root).unwrap()), "[\"q\",[\"abc\"],\"r\",42]");
    let mut root = writer.begin();
    writer.raw(&container_value, &mut root).unwrap().unwrap();
    assert_eq!(read(writer.finish(root).unwrap()), "[\"abc\"]");
}

#[test]
fn keys_sort_by_length_first() {
    assert!(key_order(b"z", b"aa").is_lt());
    assert!(key_order(b"ab", b"aa").is_gt());
}
